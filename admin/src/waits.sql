SELECT number, json_object('address', address, 'failures', failures, 'seconds', seconds)
FROM (SELECT row_number() OVER (ORDER BY max(retry_at) DESC) AS number, address,
             max(failures) AS failures, max(retry_at) - unixepoch() AS seconds
      FROM login_failures WHERE retry_at BETWEEN unixepoch() + 1 AND unixepoch() + ?3 GROUP BY address)
WHERE number > ?1 ORDER BY number LIMIT ?2
