DELETE FROM versions WHERE version <> {version};

DELETE FROM imported_passwords WHERE user_id NOT IN (SELECT id FROM temp.wanted_users);

REPLACE INTO imported_passwords
SELECT id, fingerprint FROM temp.wanted_users s WHERE NOT EXISTS
    (SELECT 1 FROM imported_passwords WHERE user_id = s.id AND fingerprint = s.fingerprint);

COMMIT;
