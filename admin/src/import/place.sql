-- Where the source's table was read to.
SELECT ifnull((SELECT 'after the row with id ' || visible(id || '') FROM {source}
               ORDER BY rowid DESC LIMIT 1), 'at the first row')
