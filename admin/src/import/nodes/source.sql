-- The source's nodes.
COPY (SELECT 'node') TO STDOUT;
COPY (
    SELECT id::text, hostname::text,
        CASE WHEN pg_typeof(ip) IN ('inet'::regtype, 'cidr'::regtype) THEN host(ip::text::inet)
             ELSE ip::text END
    FROM node ORDER BY id
) TO STDOUT;
