-- The numbers of rows, whether any differs, and, if more than a tenth of a table and more than ten
-- rows would be deleted, or all, a description.
SELECT concat_ws(char(9), '{name}', inserted, changed, deleted, source - inserted - changed),
    inserted + changed + deleted > 0,
    CASE
        WHEN source = 0 AND deleted > 0
            THEN format('The source has no {name}. This import would delete %d of %d {name}.',
                        deleted, ours)
        WHEN deleted > 10 AND deleted > ours / 10
            THEN format('This import would delete %d of %d {name}.', deleted, ours) END
FROM (SELECT (SELECT count(*) FROM {name}) AS ours,
             (SELECT count(*) FROM wanted_{name}) AS source,
             count(*) FILTER (WHERE kind = 'inserted') AS inserted,
             count(*) FILTER (WHERE kind = 'changed') AS changed,
             count(*) FILTER (WHERE kind = 'deleted') AS deleted
      FROM {name}_difference)
