-- Two users may have swapped names, but names have to be unique after each statement.
UPDATE users SET username = 'import ' || hex(randomblob(16))
WHERE id IN (SELECT value ->> 0 FROM json_each(?1))
