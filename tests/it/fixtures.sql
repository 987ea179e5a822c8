-- Added to the demo data: instances from 100 on, all but one owned by luoyun, and the locked user
-- `locked`, whose password is `locked`. Instance 104 then gets a name and a summary of any
-- characters.

INSERT INTO users (id, username, password, is_locked) VALUES
    (10, 'locked', 'adec79fd87d04960046628531c4a56b714d160d8', 1);
INSERT INTO nodes (id, hostname, ip) VALUES (10, 'bare', NULL), (11, 'v6', 'fd00::1');
INSERT INTO instances (id, user_id, node_id, name, summary, status, vdi_type, vdi_port) VALUES
    (100, 1,    1,    'deleted', NULL,      100, 1, 5900),
    (101, 1,    11,   'full',    'A host.',   5, 2, 65535),
    (102, 1,    NULL, '',        '',          0, 1, 1),
    (103, 1,    10,   'no ip',   NULL,        3, 1, NULL),
    (104, 1,    1,    '',        NULL,        4, 1, NULL),
    (105, 1,    1,    'suspend', NULL,        9, 1, NULL),
    (106, 1,    1,    'query',   NULL,      245, 1, NULL),
    (107, 1,    1,    'no disk', NULL,      255, 1, NULL),
    (108, 1,    1,    'strange', NULL,      -77, 1, NULL),
    (109, NULL, 1,    'nobody''s', NULL,      2, 1, NULL);
