-- What `luoyun-admin import` remembers of each user's password in the LuoYunCloud that
-- it reads: whether it has changed there since the last import. Where it has not, the
-- password here stays, which a login may have stored better. A fingerprint is an HMAC
-- with a key that is not in this database: a plain digest would let a thief try
-- passwords as fast as the weak form it was made from.
CREATE TABLE IF NOT EXISTS imported_passwords (
    user_id     INTEGER PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    fingerprint BLOB    NOT NULL
) STRICT;
