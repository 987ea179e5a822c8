-- For instances that were added since the comparison.
UPDATE instances SET user_id = (SELECT id FROM users WHERE id = user_id),
                     node_id = (SELECT id FROM nodes WHERE id = node_id)
WHERE user_id NOT IN (SELECT id FROM users) OR node_id NOT IN (SELECT id FROM nodes)
