SELECT id AS key, json_array(id, hostname, ip) AS line FROM nodes
