BEGIN;
CREATE TABLE salt AS SELECT * FROM saved.salt;
CREATE TABLE versions AS SELECT * FROM saved.versions;
CREATE TABLE imported_passwords AS SELECT * FROM saved.imported_passwords;
COMMIT;
DETACH saved;
