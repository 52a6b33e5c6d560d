-- Whether this database is empty: tables, views and functions of extensions do not count.
SELECT NOT EXISTS (
    SELECT
    FROM (
        SELECT 'pg_class'::regclass AS catalog, oid, relnamespace AS schema
        FROM pg_class
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
        UNION ALL
        SELECT 'pg_proc'::regclass, oid, pronamespace
        FROM pg_proc
    ) AS entry
    JOIN pg_namespace ON pg_namespace.oid = entry.schema
    WHERE nspname !~ '^pg_'
      AND nspname <> 'information_schema'
      AND NOT EXISTS (
          SELECT
          FROM pg_depend
          WHERE classid = entry.catalog AND objid = entry.oid AND deptype = 'e'
      )
)
