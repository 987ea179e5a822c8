-- The rows of a source as an import stores them, in the columns of target_rows.sql.
SELECT 'u', id::text, username, is_locked::int::text,
       floor(extract(epoch FROM last_login))::text, NULL, NULL, NULL
FROM auth_user UNION ALL
SELECT 'n', id::text, hostname, ip, NULL, NULL, NULL, NULL FROM node UNION ALL
SELECT 'i', id::text, user_id::text, node_id::text, name, summary,
       status::text, nullif(vdi_port, 0)::text FROM instance
