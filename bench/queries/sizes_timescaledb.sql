-- The bytes of checks and of every table that is never deleted, with indexes and TOAST: hypertables, continuous aggregates and
-- plain tables.
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
