-- A password that is NULL is kept. The later login counts.
INSERT INTO users (id, username, is_locked, password, last_login)
SELECT value ->> 0, value ->> 1, value ->> 2,
    ifnull(value ->> 3, (SELECT password FROM users WHERE id = value ->> 0)), value ->> 4
FROM json_each(?1) WHERE true
ON CONFLICT (id) DO UPDATE SET
    username = excluded.username, is_locked = excluded.is_locked, password = excluded.password,
    last_login = max(ifnull(excluded.last_login, last_login), ifnull(last_login, excluded.last_login))
