-- The first tables. Every Spin host can prepare a database in one way only, by
-- running files like this at each start, so whatever stands here may run again
-- at any time: it creates what is missing, and alters and drops nothing.

-- Who may log in. A user name is compared byte for byte, as the original does;
-- UNIQUE is also the index of a login. `password` is what is stored of it, never
-- the password. Times, here and below, are unix seconds.
CREATE TABLE IF NOT EXISTS users (
    id         INTEGER PRIMARY KEY,
    username   TEXT    NOT NULL UNIQUE,
    password   TEXT    NOT NULL,
    is_locked  INTEGER NOT NULL DEFAULT 0 CHECK (is_locked IN (0, 1)),
    last_login INTEGER
) STRICT;

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

-- The sessions of the key-value store, which can neither list its entries by time
-- nor by user. `digest` is the SHA-1 of the session key in hex: who reads this
-- table finds no usable key.
CREATE TABLE IF NOT EXISTS sessions (
    digest     TEXT    PRIMARY KEY,
    user_id    INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS sessions_by_expiry ON sessions (expires_at);
CREATE INDEX IF NOT EXISTS sessions_of_user ON sessions (user_id);

-- A login is one statement, and one sync to disk, with this.
CREATE TRIGGER IF NOT EXISTS session_is_last_login AFTER INSERT ON sessions
BEGIN
    UPDATE users SET last_login = unixepoch() WHERE id = NEW.user_id;
END;
