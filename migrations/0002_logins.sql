-- Sessions and failed logins.

-- The expiry index of the sessions: the key-value store, which holds them, can neither expire
-- nor list its entries. `digest` is the SHA-1 of the session key in hex, so this table reveals
-- no usable key. A row outlives its user, so that the entry in the key-value store is still
-- found and deleted.
CREATE TABLE IF NOT EXISTS sessions (
    digest     TEXT    PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A login deletes the sessions that expired first.
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);

-- A trigger, because a second statement would be a second sync to disk.
CREATE TRIGGER IF NOT EXISTS session_sets_last_login AFTER INSERT ON sessions
BEGIN
    UPDATE users SET last_login = unixepoch() WHERE id = NEW.user_id;
END;

-- Failed logins, counted. `key` is the first 64 bits of a SHA-1: user names do not belong
-- here, as one may be a password that was typed into the wrong field. No login is tried
-- before `retry_at`; the row no longer counts from `forget_at` on, and is then deleted by a
-- later failed login, which looks at a few rows at random and so needs no index.
CREATE TABLE IF NOT EXISTS login_failures (
    key       INTEGER PRIMARY KEY,
    failures  INTEGER NOT NULL,
    retry_at  INTEGER NOT NULL,
    forget_at INTEGER NOT NULL
) STRICT;
