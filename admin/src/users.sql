SELECT id AS key,
    json_object('id', id, 'username', username,
                'is_locked', json(iif(is_locked, 'true', 'false')), 'last_login',
                strftime('%Y-%m-%dT%H:%M:%SZ', last_login, 'unixepoch')) AS line
FROM users
