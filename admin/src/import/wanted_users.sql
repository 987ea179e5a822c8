-- Of users with equal names, the one who can log in with it, or else the first.
CREATE TEMP TABLE wanted_users AS SELECT * FROM (
    {rows}, fingerprint(r.id, ifnull(r.password, '!')) AS fingerprint,
        row_number() OVER (PARTITION BY bare(r.username)
                           ORDER BY r.username <> bare(r.username), r.id) AS number
    FROM auth_user r WHERE octet_length(bare(r.username)) BETWEEN 1 AND 4096
) WHERE number = 1;
CREATE UNIQUE INDEX temp.users_by_id ON wanted_users (id);
