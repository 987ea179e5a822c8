-- Ids below 1, a name that is not UTF-8, and nodes without a name, with an empty and with the same one.
INSERT INTO users (id, username, password) VALUES (-3, CAST(x'ff' AS TEXT), '!');
INSERT INTO nodes (id, hostname) VALUES (0, NULL), (1, 'twice'), (2, 'twice'), (3, '');
INSERT INTO instances (id, name) VALUES (0, 'zero'), (-5, 'minus');
