CASE WHEN {column}::text ~ '^\s*\d{1,18}(\.0*)?\s*$' THEN {column}::text::numeric::bigint
     WHEN {column} IS NOT NULL THEN 0 END
