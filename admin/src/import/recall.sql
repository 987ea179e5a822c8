CREATE TEMP TABLE known_passwords (user_id INTEGER PRIMARY KEY, fingerprint);
INSERT INTO known_passwords SELECT user_id, fingerprint FROM imported_passwords WHERE {is_known};
