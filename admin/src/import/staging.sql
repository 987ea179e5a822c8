-- The source's rows, as text. `is_replaced` is whether they have bytes that are not UTF-8.
CREATE TEMP TABLE auth_user (
    id INTEGER PRIMARY KEY, username, is_locked, password, last_login, is_replaced);
CREATE TEMP TABLE node (id INTEGER PRIMARY KEY, hostname, ip, is_replaced);
CREATE TEMP TABLE instance (
    id INTEGER PRIMARY KEY, user_id, node_id, name, summary, status, vdi_port, is_replaced);

-- Our rows.
CREATE TEMP TABLE users (id INTEGER PRIMARY KEY, username, is_locked, password, last_login);
CREATE TEMP TABLE nodes (id INTEGER PRIMARY KEY, hostname, ip);
CREATE TEMP TABLE instances (
    id INTEGER PRIMARY KEY, user_id, node_id, name, summary, status, vdi_port);

-- What is odd in a row of the source: notes, one a line.
CREATE TEMP TABLE odd (name, id, notes);

CREATE TEMP VIEW odd_notes AS SELECT name, odd.id, value AS note
FROM odd, json_each('["' || replace(notes, char(10), '","') || '"]');
