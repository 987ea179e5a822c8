-- Rows that only an import or another program writes: a time, no name, control and invisible characters.
UPDATE users SET last_login = 1700000000;
UPDATE nodes SET hostname = NULL WHERE id = 3;
UPDATE nodes SET hostname = 'a' || char(8238, 8203, 160, 233, 101, 769) WHERE id = 2;
UPDATE instances SET name = 'a' || char(27) || '[2J库' WHERE id = 1;
