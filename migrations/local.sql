-- For a local database file only; a libSQL server rejects it. In this mode, which is stored in the
-- file, readers and a writer do not block each other.
PRAGMA journal_mode = WAL;
