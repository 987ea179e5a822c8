-- A script for psql, which prints the name of each column of the source's table `?1` and then its
-- values, each with a tab.
SELECT group_concat('COPY (SELECT ''' || name || ''') TO STDOUT;' || char(10)
    || 'COPY (SELECT ' || name || ', NULL FROM ' || ?1 || ') TO STDOUT;', char(10)) || char(10)
FROM pragma_table_info(?1) WHERE name <> 'is_replaced'
