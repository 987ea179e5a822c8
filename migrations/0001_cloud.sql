-- The cloud: users, nodes and instances. Every request opens the database anew and parses this
-- schema, so each table, index and trigger has to be worth that time.
--
-- These statements create what is missing. Columns are added to an earlier version's tables
-- (api/schema), so each is on a line of its own. Times are Unix times, in seconds.

-- Users. User names are compared byte for byte, as in the original server. `password` is never
-- plain text: SECURITY.md lists the formats. A session contains its user's `session_epoch` and
-- ends when that changes. The initial value is random, so that a new user with the id of a
-- deleted one does not inherit the deleted user's sessions.
CREATE TABLE IF NOT EXISTS users (
    id            INTEGER PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE,
    password      TEXT    NOT NULL,
    is_locked     INTEGER NOT NULL DEFAULT 0 CHECK (is_locked IN (0, 1)),
    last_login    INTEGER,
    session_epoch INTEGER NOT NULL DEFAULT (abs(random() % 1000000000000))
) STRICT;

-- A change of the password or of the lock ends the user's sessions, whichever program makes it.
-- (A login that stores the same password in a stronger form subtracts 1 to undo this.)
CREATE TRIGGER IF NOT EXISTS user_change_ends_sessions
AFTER UPDATE OF password, is_locked ON users
WHEN NEW.password <> OLD.password OR NEW.is_locked <> OLD.is_locked
BEGIN
    UPDATE users SET session_epoch = session_epoch + 1 WHERE id = NEW.id;
END;

-- The machines that instances run on. A node that has not reported in yet has no IP address.
CREATE TABLE IF NOT EXISTS nodes (
    id       INTEGER PRIMARY KEY,
    hostname TEXT,
    ip       TEXT
) STRICT;

-- The virtual machines. An instance may have no owner and no node. `status` accepts any number,
-- as LuoYunCloud adds new ones; a deleted instance keeps its row, with status 100. There is no
-- index on `node_id`: only the removal of a node searches by it.
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

-- A covering index for a user's list, in its order and without deleted instances: a page is
-- read from this index alone.
CREATE INDEX IF NOT EXISTS instances_of_user
    ON instances (user_id, id, status, vdi_type, vdi_port, name, summary, node_id)
    WHERE status <> 100;
