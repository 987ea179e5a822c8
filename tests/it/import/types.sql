-- Other types of columns; an empty line ends a source.
ALTER TABLE auth_user ALTER is_locked TYPE integer USING is_locked::int,
    ALTER last_login TYPE timestamptz USING last_login AT TIME ZONE 'UTC';
ALTER TABLE node ALTER ip TYPE inet USING ip::inet;
ALTER TABLE instance ALTER vdi_port TYPE text, ALTER status TYPE smallint;

ALTER TABLE instance DROP CONSTRAINT instance_user_id_fkey, ALTER user_id TYPE text,
    ALTER id TYPE numeric;
ALTER TABLE auth_user ALTER id TYPE numeric(9, 2), ALTER username TYPE char(30),
    ALTER last_login TYPE double precision USING extract(epoch FROM last_login);

CREATE DOMAIN seconds AS bigint; ALTER TABLE auth_user
    ALTER last_login TYPE seconds USING floor(extract(epoch FROM last_login));
ALTER TABLE instance DROP CONSTRAINT instance_node_id_fkey;
CREATE TABLE more_nodes () INHERITS (node); INSERT INTO more_nodes SELECT * FROM node;
DELETE FROM ONLY node;
