-- Leaves out the rows without a valid id.
INSERT INTO odd
SELECT '{name}', iif(typeof(id) = 'text', visible(id), id),
    'left out, as their id is not a number from 1 up'
FROM {source} WHERE typeof(id) <> 'integer' OR id < 1;

DELETE FROM {source} WHERE typeof(id) <> 'integer' OR id < 1;
