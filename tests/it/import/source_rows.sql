-- The rows of a source as an import stores them, each as JSON.
SELECT array_to_json(row)::text FROM (
    SELECT ARRAY['u', id::text, username, is_locked::int::text,
        floor(extract(epoch FROM last_login))::text] AS row FROM auth_user
    UNION ALL SELECT ARRAY['n', id::text, hostname, ip] FROM node
    UNION ALL SELECT ARRAY['i', id::text, user_id::text, node_id::text, name, summary, status::text,
        nullif(vdi_port, 0)::text] FROM instance) rows ORDER BY 1
