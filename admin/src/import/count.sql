SELECT (SELECT count(*) FROM our_{name}), (SELECT count(*) FROM wanted_{name}),
       count(*) FILTER (WHERE kind = 'inserted'),
       count(*) FILTER (WHERE kind = 'changed'),
       count(*) FILTER (WHERE kind = 'deleted')
FROM {name}_difference
