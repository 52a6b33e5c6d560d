-- The bytes of checks and of every table that is never deleted, with indexes and TOAST. Partitions are added to their table.
SELECT coalesce(pg_partition_root(oid), oid)::regclass::text, sum(pg_total_relation_size(oid))
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'
  AND coalesce(pg_partition_root(oid), oid)::regclass::text ~ '^(checks|rollups|rollup_(15m|hourly|daily)|materialized_.*|day_strips|episodes|outages)$'
GROUP BY 1
