(SELECT id FROM users_difference JOIN wanted_users w USING (id) JOIN our_users o USING (id)
 WHERE w.username <> o.username)
