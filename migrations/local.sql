-- For a local database file only: a libSQL server rejects the PRAGMA and needs none of this.
-- Runs before the other migrations.

-- Releases will migrate their tables. Unreleased versions do not, so their databases are rejected.
CREATE TEMP TABLE is_current (yes INTEGER CONSTRAINT
    "This database was made by an unreleased luoyun-api. Use another STATE_DIR."
    CHECK (yes));
INSERT INTO is_current
SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'session_is_last_login');
DROP TABLE is_current;

-- In WAL mode, readers and a writer do not block each other. The mode is stored in the file.
PRAGMA journal_mode = WAL;
