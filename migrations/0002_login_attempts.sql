-- Wrong passwords, counted for a user name from a client address. `pair` is the SHA-1
-- of the two in hex: a user name may be a password typed into the wrong field, and
-- has no business here. No login for the pair before `retry_at`; the row is forgotten
-- at `forget_at`, and deleted by a later wrong password.
CREATE TABLE IF NOT EXISTS login_attempts (
    pair      TEXT    PRIMARY KEY,
    failures  INTEGER NOT NULL,
    retry_at  INTEGER NOT NULL,
    forget_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS login_attempts_by_age ON login_attempts (forget_at);
