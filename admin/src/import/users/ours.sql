SELECT id AS key, json_array(id, username, is_locked, password, last_login) AS line FROM users
