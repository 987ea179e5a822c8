SELECT id AS key, json_array(id, user_id, node_id, name, summary, status, vdi_port) AS line
FROM instances
