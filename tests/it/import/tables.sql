-- The tables as LuoYunCloud creates them.
CREATE TABLE auth_user (id integer PRIMARY KEY, username varchar(30),
    password varchar(142), email varchar(64), is_locked boolean, last_login timestamp);
CREATE TABLE node (id integer PRIMARY KEY, hostname varchar(64), ip varchar(32));
CREATE TABLE instance (id integer PRIMARY KEY, user_id integer REFERENCES auth_user,
    node_id integer REFERENCES node, name varchar(64), summary varchar(1024),
    status integer, vdi_port integer DEFAULT 0);
