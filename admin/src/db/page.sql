SELECT max(key), json_group_array(json(line))
FROM (SELECT key, line, sum(length(CAST(line AS BLOB)))
             OVER (ORDER BY key ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (SELECT key, line FROM ({rows}) WHERE key > ?1 ORDER BY key LIMIT 2000))
WHERE ifnull(before, 0) < 2000000
