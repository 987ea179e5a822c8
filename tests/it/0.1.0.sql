-- A database of version 0.1.0, as `sqlite3 FILE .dump` prints it. No later version changes this file.
PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE instances (
    id       INTEGER PRIMARY KEY,
    user_id  INTEGER REFERENCES users (id) ON DELETE SET NULL,
    node_id  INTEGER REFERENCES nodes (id) ON DELETE SET NULL,
    name     TEXT    NOT NULL,
    summary  TEXT,
    status   INTEGER NOT NULL DEFAULT 1,
    vdi_type INTEGER NOT NULL DEFAULT 1,
    vdi_port INTEGER CHECK (vdi_port BETWEEN 1 AND 65535)
) STRICT;
INSERT INTO "instances" VALUES(5,2,1,'gallery2','web server',2,1,5900);
INSERT INTO "instances" VALUES(6,NULL,NULL,'deleted',NULL,100,1,NULL);
INSERT INTO "instances" VALUES(2252,1,1,'openerp7 img gz',NULL,2,1,NULL);
INSERT INTO "instances" VALUES(2492,1,1,'gallery3',NULL,1,1,NULL);
INSERT INTO "instances" VALUES(2493,1,1,'ubuntu 12.04 64位版',NULL,1,1,NULL);
CREATE TABLE login_failures (
    key       INTEGER PRIMARY KEY,
    failures  INTEGER NOT NULL,
    retry_at  INTEGER NOT NULL,
    forget_at INTEGER NOT NULL,
    address   TEXT    NOT NULL DEFAULT ''
) STRICT;
INSERT INTO "login_failures" VALUES(-4611686018427387904,6,1795000030,1795000930,'192.0.2.1');
CREATE TABLE nodes (
    id       INTEGER PRIMARY KEY,
    hostname TEXT,
    ip       TEXT
) STRICT;
INSERT INTO "nodes" VALUES(1,'node1','10.0.0.2');
CREATE TABLE sessions (
    digest     TEXT    NOT NULL UNIQUE,
    user_id    INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
INSERT INTO "sessions" VALUES('0a4d55a8d778e5022fab701977c5d840bbc486d0',1,1795086400);
CREATE TABLE users (
    id            INTEGER PRIMARY KEY,
    username      TEXT    NOT NULL UNIQUE,
    password      TEXT    NOT NULL,
    is_locked     INTEGER NOT NULL DEFAULT 0 CHECK (is_locked IN (0, 1)),
    last_login    INTEGER,
    session_epoch INTEGER NOT NULL DEFAULT (abs(random() % 1000000000000))
) STRICT;
INSERT INTO "users" VALUES(1,'luoyun','5ce229cfdbc7804f86696e7240ba64f86e67d821',0,1795000000,123456790);
INSERT INTO "users" VALUES(2,'gallery','5b47b90353dce961408d7319555f7cb9ca62fd7f',0,1795000000,123456791);
INSERT INTO "users" VALUES(3,'库','!',1,NULL,7);
CREATE TRIGGER user_change_ends_sessions
AFTER UPDATE OF password, is_locked ON users
WHEN NEW.password <> OLD.password OR NEW.is_locked <> OLD.is_locked
BEGIN
    UPDATE users SET session_epoch = session_epoch + 1 WHERE id = NEW.id;
END;
CREATE INDEX instances_of_user
    ON instances (user_id, id, status, vdi_type, vdi_port, name, summary, node_id)
    WHERE status <> 100;
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_of_user_by_expiry ON sessions (user_id, expires_at);
CREATE TRIGGER session_sets_last_login AFTER INSERT ON sessions
BEGIN
    UPDATE users SET last_login = unixepoch() WHERE id = NEW.user_id;
END;
COMMIT;
