-- The continuous aggregates of release 0.1, and the objects that they used.
DROP MATERIALIZED VIEW IF EXISTS phases_daily;
DROP MATERIALIZED VIEW IF EXISTS latency_daily;
DROP MATERIALIZED VIEW IF EXISTS checks_daily;
DROP MATERIALIZED VIEW IF EXISTS phases_hourly;
DROP MATERIALIZED VIEW IF EXISTS latency_hourly;
DROP MATERIALIZED VIEW IF EXISTS checks_hourly;
DROP MATERIALIZED VIEW IF EXISTS phases_15m;
DROP MATERIALIZED VIEW IF EXISTS latency_15m;
DROP MATERIALIZED VIEW IF EXISTS checks_15m;
DROP TABLE IF EXISTS aggregates_state;
DROP FUNCTION IF EXISTS aggregates_watermark();
DROP FUNCTION IF EXISTS aggregate_bucket(text, timestamptz);
DELETE FROM touched_ranges;
DROP TABLE IF EXISTS upgrade_tasks;
