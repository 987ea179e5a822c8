-- A line for each note on rows of a table, in the order of the text `?1`.
SELECT '{name} ' || note || ': ' || count(*) || ' (id '
    || group_concat(ifnull(id, 'NULL'), ', ' ORDER BY number) FILTER (WHERE number <= 5)
    || iif(count(*) > 5, ', …)', ')')
FROM (SELECT odd.id, value AS note, row_number() OVER (PARTITION BY value ORDER BY odd.id) AS number
      FROM odd, json_each('["' || replace(notes, char(10), '","') || '"]') WHERE name = '{name}')
GROUP BY note ORDER BY instr(?1, note)
