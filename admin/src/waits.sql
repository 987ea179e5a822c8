SELECT row_number() OVER (ORDER BY max(retry_at) DESC) AS key,
    json_object('address', address, 'failures', max(failures),
                'seconds', max(retry_at) - unixepoch()) AS line
FROM login_failures
WHERE retry_at BETWEEN unixepoch() + 1 AND unixepoch() + ?2 GROUP BY address
