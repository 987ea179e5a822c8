-- The source's users. Types have changed between versions of LuoYunCloud, so all is read as text.
COPY (SELECT 'auth_user') TO STDOUT;
COPY (
    SELECT id::text, username::text, is_locked::text, password::text,
        -- A Unix time. SQL has no RAISE: the last cast fails, with this text.
        CASE (SELECT typcategory FROM pg_type WHERE oid = pg_typeof(last_login))
            WHEN 'N' THEN last_login::text
            WHEN 'D' THEN CASE isfinite(last_login::text::timestamptz)
                WHEN true THEN extract(epoch FROM last_login::text::timestamptz)::text
                WHEN false THEN 'NaN' END
            ELSE ('last_login is of the type ' || pg_typeof(last_login) || ', not a time')
                ::timestamptz::text
        END
    FROM auth_user ORDER BY id
) TO STDOUT;
