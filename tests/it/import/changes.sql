-- Changes few.sql: swapped names, a removed owner, a password, and each kind of change.
UPDATE auth_user SET username = CASE id WHEN 1 THEN 'grace' ELSE 'ada' END WHERE id < 3;
UPDATE instance SET user_id = 1, node_id = 2 WHERE user_id = 3;
DELETE FROM auth_user WHERE id = 3; UPDATE auth_user SET password = repeat('a', 40) WHERE id = 1;
INSERT INTO auth_user (id, username, password, is_locked) VALUES
    (4, 'it''s 库', repeat('4', 40), false), (5, 'new', repeat('5', 40), false);
UPDATE node SET ip = NULL WHERE id = 2; INSERT INTO node VALUES (3, 'node3', '10.0.0.3');
UPDATE instance SET summary = NULL, vdi_port = 1 WHERE id = 12;
DELETE FROM instance WHERE id = 10; INSERT INTO instance VALUES (14, 5, 3, 'five', NULL, 9);
