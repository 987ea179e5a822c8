-- The encoding of the database, and the columns of its tables with the types, or, of a domain, the
-- type that it is made of.
SELECT getdatabaseencoding()::text, c.relname::text, a.attname::text,
       coalesce(nullif(t.typbasetype, 0), t.oid)::regtype::text
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_type t ON t.oid = a.atttypid
WHERE c.relname IN ('auth_user', 'node', 'instance') AND pg_table_is_visible(c.oid)
  AND a.attnum > 0 AND NOT a.attisdropped
