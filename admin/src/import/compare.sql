CREATE TEMP TABLE {name}_difference (kind, position, id, PRIMARY KEY (kind, position)) WITHOUT ROWID;

INSERT INTO {name}_difference
SELECT kind, row_number() OVER (ORDER BY place, id), id FROM
    (SELECT iif(o.id IS NULL, 'inserted', 'changed') AS kind, w.{order} AS place, w.id
     FROM wanted_{name} w LEFT JOIN our_{name} o ON o.id = w.id
     WHERE o.id IS NULL OR {differs}
     UNION ALL
     SELECT 'deleted', {order}, id FROM our_{name} WHERE id NOT IN (SELECT id FROM wanted_{name}));
