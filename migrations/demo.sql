-- The sample data of the design document, for demos and tests: the user luoyun (password luoyun)
-- with the three instances of the document's samples, and the user gallery (password gallery),
-- who owns instance 5. Existing rows are not changed.
--
-- Omit this (make up DEMO=0) if others can reach the server: these passwords are public.

INSERT OR IGNORE INTO users (id, username, password) VALUES
    (1, 'luoyun',  '5ce229cfdbc7804f86696e7240ba64f86e67d821'),
    (2, 'gallery', '5b47b90353dce961408d7319555f7cb9ca62fd7f');

INSERT OR IGNORE INTO nodes (id, hostname, ip) VALUES
    (1, 'node1', '10.0.0.2');

INSERT OR IGNORE INTO instances (id, user_id, node_id, name, status) VALUES
    (5,    2, 1, 'gallery2',             2),
    (2252, 1, 1, 'openerp7 img gz',      2),
    (2492, 1, 1, 'gallery3',             1),
    (2493, 1, 1, 'ubuntu 12.04 64位版', 1);
