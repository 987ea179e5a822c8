INSERT INTO nodes (id, hostname, ip)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET hostname = excluded.hostname, ip = excluded.ip
