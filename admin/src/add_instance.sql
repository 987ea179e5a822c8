INSERT INTO instances (user_id, node_id, name, summary, status, vdi_type, vdi_port, id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (id) DO NOTHING RETURNING id
