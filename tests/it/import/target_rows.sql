-- The rows of the API's database, as source_rows.sql returns them.
SELECT json_array('u', id || '', username, is_locked || '', last_login || '') FROM users UNION ALL
SELECT json_array('n', id || '', hostname, ip) FROM nodes UNION ALL
SELECT json_array('i', id || '', user_id || '', node_id || '', name, summary, status || '',
                  vdi_port || '') FROM instances ORDER BY 1
