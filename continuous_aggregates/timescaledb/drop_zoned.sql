-- The aggregates whose buckets depend on the reporting time zone, dropped to be made again for another one from the fifteen
-- minutes, which are kept for good. The next advance_aggregates materialises all of their past.
DROP MATERIALIZED VIEW IF EXISTS phases_daily;
DROP MATERIALIZED VIEW IF EXISTS latency_daily;
DROP MATERIALIZED VIEW IF EXISTS checks_daily;
DROP MATERIALIZED VIEW IF EXISTS phases_hourly;
DROP MATERIALIZED VIEW IF EXISTS latency_hourly;
DROP MATERIALIZED VIEW IF EXISTS checks_hourly;
DROP TABLE IF EXISTS aggregates_state;
