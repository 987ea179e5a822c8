-- How many instances each user has that are not deleted, by ranges of 4096 ids: the total
-- of a list, and where a late page of it begins, without going through the instances.
--
-- The triggers keep it, whatever tool changes `instances`. One thing escapes them: INSERT
-- OR REPLACE of an id that is there, for which SQLite fires no delete trigger. The last
-- statement mends that at the next start.
CREATE TABLE IF NOT EXISTS instance_counts (
    user_id  INTEGER NOT NULL,
    id_range INTEGER NOT NULL,
    total    INTEGER NOT NULL,
    PRIMARY KEY (user_id, id_range)
) STRICT, WITHOUT ROWID;

-- Without an upsert, and without OR IGNORE: a statement's own OR clause takes the place of
-- those in the triggers that it fires.
CREATE TRIGGER IF NOT EXISTS instance_is_counted AFTER INSERT ON instances
WHEN NEW.status <> 100 AND NEW.user_id IS NOT NULL
BEGIN
    INSERT INTO instance_counts
        SELECT NEW.user_id, NEW.id >> 12, 0 WHERE NOT EXISTS (
            SELECT 1 FROM instance_counts
            WHERE user_id = NEW.user_id AND id_range = NEW.id >> 12);
    UPDATE instance_counts SET total = total + 1
    WHERE user_id = NEW.user_id AND id_range = NEW.id >> 12;
END;

CREATE TRIGGER IF NOT EXISTS instance_is_counted_anew
AFTER UPDATE OF id, user_id, status ON instances
WHEN NEW.id <> OLD.id OR NEW.user_id IS NOT OLD.user_id
     OR (NEW.status = 100) <> (OLD.status = 100)
BEGIN
    UPDATE instance_counts SET total = total - 1
    WHERE user_id = OLD.user_id AND id_range = OLD.id >> 12 AND OLD.status <> 100;
    INSERT INTO instance_counts
        SELECT NEW.user_id, NEW.id >> 12, 0
        WHERE NEW.status <> 100 AND NEW.user_id IS NOT NULL AND NOT EXISTS (
            SELECT 1 FROM instance_counts
            WHERE user_id = NEW.user_id AND id_range = NEW.id >> 12);
    UPDATE instance_counts SET total = total + 1
    WHERE user_id = NEW.user_id AND id_range = NEW.id >> 12 AND NEW.status <> 100;
END;

CREATE TRIGGER IF NOT EXISTS instance_is_counted_no_more AFTER DELETE ON instances
WHEN OLD.status <> 100
BEGIN
    UPDATE instance_counts SET total = total - 1
    WHERE user_id = OLD.user_id AND id_range = OLD.id >> 12;
END;

-- Counts the instances that were there before the triggers, and mends what is wrong; one
-- statement, so that nobody sees half of it.
INSERT INTO instance_counts
    SELECT user_id, id_range, sum(counted) FROM (
        SELECT user_id, id >> 12 AS id_range, 1 AS counted FROM instances
        WHERE status <> 100 AND user_id IS NOT NULL
        UNION ALL
        SELECT user_id, id_range, 0 FROM instance_counts)
    GROUP BY user_id, id_range
    ON CONFLICT (user_id, id_range) DO UPDATE SET total = excluded.total
    WHERE total <> excluded.total;
