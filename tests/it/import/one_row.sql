-- A row in each table.
TRUNCATE auth_user, node, instance; INSERT INTO node VALUES (1, 'node1', '10.0.0.1');
INSERT INTO auth_user (id, username, password) VALUES (1, 'ada', repeat('a', 40));
INSERT INTO instance (id, status, vdi_port) VALUES (1, '1', '5900');
