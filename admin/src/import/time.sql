-- NaN is larger than any number. 253402300800 is the first second of the year 10000.
CASE WHEN {seconds} >= -62135596800 AND {seconds} < 253402300800 THEN floor({seconds})::bigint
     WHEN {column} IS NOT NULL THEN 253402300800 END
