-- Three users with nodes and instances.
INSERT INTO auth_user (id, username, password, is_locked, last_login) VALUES
    (1, 'ada', 'salt$' || encode(sha512('saltada'), 'hex'), false, '2024-01-01 00:00:00.75'),
    (2, 'grace', 'salt$' || encode(sha512('saltgrace'), 'hex'), true, NULL),
    (3, 'it''s 库', 'salt$' || encode(sha512('x'), 'hex'), false, NULL);
INSERT INTO node VALUES (1, 'node1', '10.0.0.1'), (2, 'node2', '10.0.0.2');
INSERT INTO instance VALUES
    (10, 1, 1, 'one', NULL, 1, 5900), (11, 1, 2, 'two ''库', 'a summary', 2, 0),
    (12, 2, 2, 'three', '', 100, NULL), (13, 3, 1, 'four', NULL, 3, 65535);
