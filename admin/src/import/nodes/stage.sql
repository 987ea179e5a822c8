INSERT INTO node SELECT ?1 ->> 0, ?1 ->> 1, ?1 ->> 2, ?2
