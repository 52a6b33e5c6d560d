-- Bytes of the raw checks and of everything that is kept for good: hypertables, what continuous aggregates have materialised, and
-- plain tables; heap, TOAST and indexes, compressed or not.
SELECT hypertable_name, hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass)
FROM timescaledb_information.hypertables
WHERE hypertable_schema = current_schema()
UNION ALL
SELECT view_name,
       hypertable_size(format('%I.%I', materialization_hypertable_schema, materialization_hypertable_name)::regclass)
FROM timescaledb_information.continuous_aggregates
UNION ALL
SELECT relname, pg_total_relation_size(oid)
FROM pg_class
WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' AND relname ~ '^(rollups|rollup_(15m|hourly|daily)|day_strips|episodes|outages)$'
  AND relname NOT IN (SELECT hypertable_name FROM timescaledb_information.hypertables)
