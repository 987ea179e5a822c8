-- For a database file on this machine; a libSQL server refuses the PRAGMA and needs none of
-- this. Runs before the other migrations.

-- The first releases will carry tables along; the ones before them do not.
CREATE TEMP TABLE is_current (yes INTEGER CONSTRAINT
    "This database was made by an unreleased luoyun-api. Use another STATE_DIR."
    CHECK (yes));
INSERT INTO is_current
SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'login_attempts');
DROP TABLE is_current;

-- Readers and a writer do not wait for each other. The setting stays with the file.
PRAGMA journal_mode = WAL;
