-- Sessions and failed logins.

-- The index of the sessions. The sessions are in the key-value store, which can neither expire nor
-- list its entries. `digest` is the SHA-1 of the session key in hex, so this table reveals no
-- usable key. A row outlives its user, so that the entry in the key-value store is still found and
-- deleted. The rowid tells the order of the logins.
CREATE TABLE IF NOT EXISTS sessions (
    digest     TEXT    NOT NULL UNIQUE,
    user_id    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- Logins delete expired sessions, and the user's oldest ones beyond `sessions_per_user`.
CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);

CREATE INDEX IF NOT EXISTS sessions_of_user_by_expiry ON sessions (user_id, expires_at);

-- A trigger, because a second statement would be a second sync to disk.
CREATE TRIGGER IF NOT EXISTS session_sets_last_login AFTER INSERT ON sessions
BEGIN
    UPDATE users SET last_login = unixepoch() WHERE id = NEW.user_id;
END;

-- Counts of failed logins. `key` is the first 64 bits of a SHA-1 instead of the user name, which
-- may be a password that was typed into the wrong field. Until `retry_at`, every login is
-- refused. From `forget_at` on, the row no longer counts. Failed logins delete such rows: each
-- checks a few rows at random, which needs no index. `address` is the client's, for operators.
CREATE TABLE IF NOT EXISTS login_failures (
    key       INTEGER PRIMARY KEY,
    failures  INTEGER NOT NULL,
    retry_at  INTEGER NOT NULL,
    forget_at INTEGER NOT NULL,
    address   TEXT    NOT NULL DEFAULT ''
) STRICT;
