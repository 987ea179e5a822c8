-- Fixtures of the browser tests: the password of each user is the user name.
INSERT OR IGNORE INTO users (id, username, password) VALUES
    (50, 'many',    'f25470201a131e127feab62862c4c9a8b033b071'),
    (51, 'hostile', '5275478c0120ab11062f47e8a28fc209ee528337'),
    (52, 'empty',   'ad87109bfff0765f4dd8cf4943b04d16a4070fea');

INSERT OR IGNORE INTO nodes (id, hostname, ip) VALUES (50, 'v6', 'fd00::1');

-- 23 instances, in known and unknown statuses, and one without a port.
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 23)
INSERT OR IGNORE INTO instances (id, user_id, node_id, name, summary, status, vdi_port)
SELECT 500 + i, 50, 1, 'vm ' || i, CASE WHEN i = 1 THEN 'The first one.' END,
       CASE i WHEN 1 THEN 5 WHEN 2 THEN 2 WHEN 3 THEN 1 WHEN 4 THEN 255 WHEN 5 THEN 77 ELSE 5 END,
       CASE WHEN i <> 2 THEN 5900 + i END
FROM n;

INSERT OR IGNORE INTO instances (id, user_id, node_id, name, summary, status, vdi_port) VALUES
    (600, 51, 50, '<script>window.hacked = 1</script>', '<img src=x onerror="window.hacked = 1">', 5, 5900),
    (601, 51, 50, 'a' || char(10) || 'host=evil' || char(13) || '"quotes" & 位', NULL, 5, 5901);
