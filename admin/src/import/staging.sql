-- The source's rows. Numbers are numbers, anything else is text. `is_replaced` is whether a row has
-- bytes that are not UTF-8.
CREATE TEMP TABLE auth_user (
    id INTEGER, username, is_locked, password, last_login NUMERIC, is_replaced);
CREATE TEMP TABLE node (id INTEGER, hostname, ip, is_replaced);
CREATE TEMP TABLE instance (
    id INTEGER, user_id INTEGER, node_id INTEGER, name, summary, status, vdi_port, is_replaced);

-- Our rows.
CREATE TEMP TABLE users (id INTEGER PRIMARY KEY, username, is_locked, password, last_login);
CREATE TEMP TABLE nodes (id INTEGER PRIMARY KEY, hostname, ip);
CREATE TEMP TABLE instances (
    id INTEGER PRIMARY KEY, user_id, node_id, name, summary, status, vdi_port);

-- What is odd in a row of the source: notes, one a line.
CREATE TEMP TABLE odd (name, id, notes);
