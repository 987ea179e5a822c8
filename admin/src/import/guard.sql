-- Stops an import if the database's version is not `?1` any more, by violating NOT NULL.
INSERT INTO users (username, password)
SELECT NULL, NULL FROM pragma_user_version WHERE user_version <> ?1
