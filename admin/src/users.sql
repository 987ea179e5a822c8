SELECT id, json_object('id', id, 'username', username,
                       'is_locked', json(iif(is_locked, 'true', 'false')), 'last_login',
                       strftime('%Y-%m-%dT%H:%M:%SZ', last_login, 'unixepoch'))
FROM users WHERE id > ?1 ORDER BY id LIMIT ?2
