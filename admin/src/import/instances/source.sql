-- The source's instances.
COPY (SELECT 'instance') TO STDOUT;
COPY (
    SELECT id::text, user_id::text, node_id::text, name::text, summary::text, status::text,
        vdi_port::text
    FROM instance ORDER BY id
) TO STDOUT;
