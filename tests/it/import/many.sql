-- A source with COUNT instances.
INSERT INTO auth_user SELECT i, 'user' || i,
    'salt$' || encode(sha512(('saltuser' || i)::bytea), 'hex'), NULL, false, NULL
FROM generate_series(1, 1000) i;
INSERT INTO node SELECT i, 'node' || i, '10.0.0.' || i FROM generate_series(1, 200) i;
INSERT INTO instance SELECT i, CASE WHEN i % 10 = 0 THEN 1 ELSE 1 + i % 1000 END,
    1 + i % 200, 'generation 1 of 虚拟机 ' || i,
    CASE WHEN i % 3 = 0 THEN repeat('summary ', i % 20) END,
    CASE WHEN i % 50 = 7 THEN 100 ELSE i % 6 END, i % 60000
FROM generate_series(1, COUNT) i
