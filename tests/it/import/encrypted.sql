-- Makes the ip of each node tell, by pg_stat_ssl, whether the import's connection is encrypted.
CREATE VIEW encrypted AS SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid();
ALTER TABLE node RENAME TO nodes;
CREATE VIEW node AS SELECT id, hostname,
    CASE WHEN (SELECT ssl FROM encrypted) THEN 'encrypted' ELSE 'plain' END AS ip
FROM nodes;
