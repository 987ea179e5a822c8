-- The rows of the API's database, as psql prints those of source_rows.sql.
SELECT 'u|' || id || '|' || username || '|' || is_locked || '|' || ifnull(last_login, 'NULL')
    || '|NULL|NULL|NULL' FROM users
UNION ALL
SELECT 'n|' || id || '|' || ifnull(hostname, 'NULL') || '|' || ifnull(ip, 'NULL')
    || '|NULL|NULL|NULL|NULL' FROM nodes
UNION ALL
SELECT 'i|' || id || '|' || ifnull(user_id, 'NULL') || '|' || ifnull(node_id, 'NULL')
    || '|' || ifnull(name, 'NULL') || '|' || ifnull(summary, 'NULL') || '|' || status
    || '|' || ifnull(vdi_port, 'NULL') FROM instances
