-- vdi_type is not in the source.
INSERT INTO instances (id, user_id, node_id, name, summary, status, vdi_port)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6
FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET
    user_id = excluded.user_id, node_id = excluded.node_id, name = excluded.name,
    summary = excluded.summary, status = excluded.status, vdi_port = excluded.vdi_port
