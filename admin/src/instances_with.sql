-- How many instances that are not deleted have `?1` in a column, with the first ids, as a text. No
-- row if there are none.
SELECT count(*) || iif(count(*) = 1, ' instance', ' instances') || ' (id '
    || group_concat(id, ', ') FILTER (WHERE number <= 5) || iif(count(*) > 5, ', …)', ')')
FROM (SELECT id, row_number() OVER (ORDER BY id) AS number
      FROM instances WHERE {column} = ?1 AND status <> 100)
GROUP BY true
