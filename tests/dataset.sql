-- A data set of any size, for `make bench`. The same size always gives the same rows. The caller
-- creates it: CREATE TEMP TABLE size (rows), the number of instances, of users and of sessions. The
-- key-value store's file is attached as `kv`.
--
-- User 1, `bench`, has the password "password" and owns 1,000 of the instances, including id 10;
-- with fewer than 1,000 instances, all of them. The other users own the rest, evenly spread.

INSERT INTO users (id, username, password, session_epoch)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT rows FROM size))
SELECT i, CASE i WHEN 1 THEN 'bench' ELSE 'user' || i END,
       '$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$8Tf44YakA6Z5zNBgblq13Nr+Q8FkCFWsjG4z6b1j7rM', 7
FROM n;

INSERT INTO nodes (id, hostname, ip)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
SELECT i, 'node' || i, '10.0.' || (i / 250) || '.' || (i % 250)
FROM n;

INSERT INTO instances (id, user_id, node_id, name, summary, status, vdi_port)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT rows FROM size))
SELECT i,
       CASE (i - 10) % (SELECT max(1, rows / 1000) FROM size) WHEN 0 THEN 1
       ELSE 2 + i * 7919 % ((SELECT rows FROM size) - 1) END,
       1 + i * 31 % 1000,
       'instance ' || i,
       CASE i % 3 WHEN 0 THEN NULL ELSE 'web server no. ' || i END,
       1 + i * 13 % 5,
       CASE i % 4 WHEN 0 THEN NULL ELSE 5900 + i % 100 END
FROM n;

-- Sessions whose keys are unknown. The digests have the length and the distribution of real ones.
INSERT INTO sessions (digest, user_id, expires_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < (SELECT rows FROM size))
SELECT printf('%08x%032x', i * 2654435761 & 4294967295, i),
       1 + i * 7919 % (SELECT rows FROM size),
       4000000000 + i * 31 % 1000000
FROM n;

CREATE TABLE IF NOT EXISTS kv.spin_key_value (
    store TEXT NOT NULL,
    key   TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (store, key)
);
INSERT INTO kv.spin_key_value (store, key, value)
SELECT 'default', 'session:' || digest,
       CAST(user_id || ' ' || expires_at || ' 7' AS BLOB)
FROM sessions;
