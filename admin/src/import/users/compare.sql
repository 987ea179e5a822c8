-- The source's users as they have to be here. Of users with equal names, the one is kept who can
-- log in with it, or else the first.
CREATE TEMP TABLE converted_users (id INTEGER PRIMARY KEY, username, is_locked, password,
                                   last_login, fingerprint, left_out, notes);

INSERT INTO converted_users
WITH named AS MATERIALIZED (
    SELECT *, bare(username) AS name, ifnull(password, '!') AS stored,
        -- Rounded down.
        iif(last_login >= -62135596800 AND last_login < 253402300800,
            CAST(last_login AS INTEGER) - (last_login < CAST(last_login AS INTEGER)),
            NULL) AS login,
        -- PostgreSQL, "Boolean Type".
        CASE WHEN lower(bare(is_locked)) IN
                 ('1', 'on', 'y', 'ye', 'yes', 't', 'tr', 'tru', 'true') THEN 1
             WHEN lower(bare(is_locked)) IN
                 ('0', 'of', 'off', 'n', 'no', 'f', 'fa', 'fal', 'fals', 'false') THEN 0 END AS flag,
        row_number() OVER (PARTITION BY bare(username)
                           ORDER BY username <> bare(username), id) AS number
    FROM auth_user
), fingerprinted AS MATERIALIZED (
    SELECT *, fingerprint(id, stored) AS fingerprint, CASE
        WHEN ifnull(name, '') = '' THEN 'left out, as they have no name'
        WHEN octet_length(name) > {max_name_bytes}
            THEN 'left out, as their name is longer than {max_name_bytes} bytes'
        WHEN number > 1 AND username = name THEN 'left out, as an earlier one has their name'
        WHEN number > 1
            THEN 'left out, as another one has their name without white space around it'
        END AS left_out
    FROM named
)
SELECT id, name,
    ifnull(flag, is_locked IS NOT NULL),
    -- NULL keeps ours: it is equal, or the source's is that of the last import.
    iif(EXISTS (SELECT 1 FROM users o WHERE o.id = r.id AND (o.password = stored OR fingerprint =
                (SELECT k.fingerprint FROM known_passwords k WHERE k.user_id = r.id))),
        NULL, stored),
    login,
    fingerprint, left_out,
    ifnull(left_out, concat_ws(char(10),
        iif(username <> name,
            'whose name lost the white space around it, as in a login', NULL),
        iif(visible(name) <> name, 'with invisible characters in their name', NULL),
        iif(is_locked IS NULL, 'not locked, as is_locked is NULL', NULL),
        iif(is_locked IS NOT NULL AND flag IS NULL,
            'locked, as is_locked is neither true nor false', NULL),
        iif(ifnull(password, '') = '', 'who cannot log in, as they have no password', NULL),
        iif(password <> '' AND NOT is_known(password),
            'who cannot log in, as the format of their password is not known', NULL),
        iif(last_login IS NOT NULL AND login IS NULL,
            'without a last login, as theirs is not in the years 1 to 9999', NULL),
        iif(is_replaced, 'with bytes that are not UTF-8: each is U+FFFD here', NULL)))
FROM fingerprinted r;

INSERT INTO odd SELECT 'users', id, notes FROM converted_users WHERE notes <> '';

CREATE TEMP VIEW wanted_users AS SELECT * FROM converted_users WHERE left_out IS NULL;

-- What has to change here, in the order in which it is written.
CREATE TEMP TABLE users_difference (position INTEGER PRIMARY KEY, kind, id);

INSERT INTO users_difference (kind, id)
SELECT iif(o.id IS NULL, 'inserted', 'changed') AS kind, w.id
FROM wanted_users w LEFT JOIN users o ON o.id = w.id
WHERE o.id IS NULL OR (o.username, o.is_locked) IS NOT (w.username, w.is_locked)
   OR w.password IS NOT NULL
   -- The later login counts.
   OR w.last_login > ifnull(o.last_login, w.last_login - 1)
ORDER BY kind, w.id;

INSERT INTO users_difference (kind, id)
SELECT 'deleted', id FROM users WHERE id NOT IN (SELECT id FROM wanted_users);

CREATE TEMP VIEW users_to_write AS
SELECT position AS key, json_array(id, username, is_locked, password, last_login) AS line
FROM users_difference JOIN wanted_users USING (id) WHERE kind <> 'deleted';

CREATE TEMP VIEW users_to_rename AS
SELECT id AS key, json_array(id) AS line
FROM users_difference JOIN wanted_users w USING (id) JOIN users o USING (id)
WHERE w.username <> o.username;

CREATE TEMP VIEW users_to_delete AS
SELECT position AS key, json_array(id) AS line FROM users_difference WHERE kind = 'deleted';
