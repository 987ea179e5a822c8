-- What psql runs first: all tables are read in one state of the database.
\set ON_ERROR_STOP on
\set VERBOSITY verbose
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
-- Row-level security makes the queries fail: otherwise PostgreSQL would hide rows, and the import
-- delete them here. A lock of another session ends a query before the import gives up, so that it
-- does not stay in the server's queue. Bytes of an unknown encoding are sent as they are.
-- Not SET: each setting exists only from some version on.
SELECT count(set_config(name, CASE name
    WHEN 'row_security' THEN 'off'
    WHEN 'lock_timeout' THEN :'lock_timeout'
    WHEN 'client_encoding' THEN
        CASE current_setting('server_encoding') WHEN 'SQL_ASCII' THEN 'SQL_ASCII' ELSE 'UTF8' END
    WHEN 'client_min_messages' THEN 'error'
    WHEN 'DateStyle' THEN 'ISO'
    WHEN 'TimeZone' THEN 'UTC'
END, true))
FROM pg_settings
WHERE name IN ('row_security', 'lock_timeout', 'client_encoding', 'client_min_messages',
               'DateStyle', 'TimeZone') \gset
