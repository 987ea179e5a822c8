SELECT i.id AS key,
    json_object('id', i.id, 'owner', u.username, 'node', n.hostname, 'name', i.name,
                'summary', i.summary, 'status', i.status,
                'status_string', ifnull(json_extract(?4, '$."' || i.status || '"'), ?5),
                'vdi_type', i.vdi_type, 'vdi_host', n.ip, 'vdi_port', i.vdi_port) AS line
FROM instances i
LEFT JOIN users u ON u.id = i.user_id
LEFT JOIN nodes n ON n.id = i.node_id
WHERE (?2 IS NULL OR i.user_id = ?2) AND (?3 OR i.status <> 100)
