-- The first tables. Every Spin host can prepare a database in one way only, by
-- running files like this at each start, so whatever stands here may run again
-- at any time: it creates what is missing, and alters and drops nothing.

-- Who may log in. A user name is compared byte for byte, as the original does;
-- UNIQUE is also the index of a login. `password` is what is stored of it, never
-- the password. A session remembers its user's `session_epoch` and ends when that
-- has moved on; it begins at random, so that whoever gets the id of a deleted user
-- does not get that user's sessions. Times, here and below, are unix seconds.
CREATE TABLE IF NOT EXISTS users (
    id         INTEGER PRIMARY KEY,
    username   TEXT    NOT NULL UNIQUE,
    password   TEXT    NOT NULL,
    is_locked  INTEGER NOT NULL DEFAULT 0 CHECK (is_locked IN (0, 1)),
    last_login INTEGER,
    session_epoch INTEGER NOT NULL DEFAULT (abs(random() % 1000000000000))
) STRICT;

-- Whoever changes a password or locks a user, with whatever tool, ends the user's
-- sessions. (A login that only stores a password better takes 1 off beforehand.)
CREATE TRIGGER IF NOT EXISTS user_change_ends_sessions
AFTER UPDATE OF password, is_locked ON users
WHEN NEW.password <> OLD.password OR NEW.is_locked <> OLD.is_locked
BEGIN
    UPDATE users SET session_epoch = session_epoch + 1 WHERE id = NEW.id;
END;

-- The machines that instances run on. A node without an IP address is one that
-- has not reported in yet.
CREATE TABLE IF NOT EXISTS nodes (
    id       INTEGER PRIMARY KEY,
    hostname TEXT,
    ip       TEXT
) STRICT;

-- The virtual machines. One may have no owner and no node, and outlives both.
-- `status` takes any number: the original adds new ones. A deleted instance keeps
-- its row, with status 100.
CREATE TABLE IF NOT EXISTS instances (
    id       INTEGER PRIMARY KEY,
    user_id  INTEGER REFERENCES users (id) ON DELETE SET NULL,
    node_id  INTEGER REFERENCES nodes (id) ON DELETE SET NULL,
    name     TEXT    NOT NULL,
    summary  TEXT,
    status   INTEGER NOT NULL DEFAULT 1,
    vdi_type INTEGER NOT NULL DEFAULT 1,
    vdi_port INTEGER CHECK (vdi_port BETWEEN 1 AND 65535)
) STRICT;

-- A user's list, in its order and with all its columns, read from the index
-- alone; the deleted ones are not in it.
CREATE INDEX IF NOT EXISTS instances_of_user
    ON instances (user_id, id, status, vdi_type, vdi_port, name, summary, node_id)
    WHERE status <> 100;

-- For ON DELETE SET NULL, which looks for a node's instances.
CREATE INDEX IF NOT EXISTS instances_of_node ON instances (node_id);

-- The sessions of the key-value store by the time they expire, which that cannot
-- tell: a login deletes the oldest that have. `digest` is the SHA-1 of the session
-- key in hex: who reads this table finds no usable key. A row outlives its user, so
-- that the entry in the key-value store is still found.
CREATE TABLE IF NOT EXISTS sessions (
    digest     TEXT    PRIMARY KEY,
    user_id    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);

-- A login is one statement, and one sync to disk, with this.
CREATE TRIGGER IF NOT EXISTS session_is_last_login AFTER INSERT ON sessions
BEGIN
    UPDATE users SET last_login = unixepoch() WHERE id = NEW.user_id;
END;
