-- The key, the address, the failures, and the seconds to wait: the last but one has failed, but
-- need not wait, and the last wait is longer than the longest.
INSERT INTO login_failures (key, address, failures, retry_at, forget_at)
SELECT column1, column2, column3, unixepoch() + column4, 0 FROM (VALUES
    (0, '192.0.2.1', 10, 100),
    (1, '192.0.2.2', 11, 200),
    (2, '2001:db8:0:1::/64', 12, 300),
    (3, 'unix', 13, 400),
    (4, '192.0.2.3', 14, -1),
    (5, '192.0.2.1', 15, 600),
    (6, '192.0.2.4', 16, 2000));
