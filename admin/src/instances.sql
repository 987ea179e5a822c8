SELECT i.id, json_object('id', i.id, 'owner', u.username, 'node', n.hostname, 'name', i.name,
                         'summary', i.summary, 'status', i.status,
                         'status_string', ifnull(json_extract(?5, '$."' || i.status || '"'), ?6),
                         'vdi_type', i.vdi_type, 'vdi_host', n.ip, 'vdi_port', i.vdi_port)
FROM instances i
LEFT JOIN users u ON u.id = i.user_id
LEFT JOIN nodes n ON n.id = i.node_id
WHERE i.id > ?1 AND (?3 IS NULL OR i.user_id = ?3) AND (?4 OR i.status <> 100)
ORDER BY i.id LIMIT ?2
