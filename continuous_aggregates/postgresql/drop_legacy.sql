-- The aggregates of release 0.1, and the objects that they used.
DROP TABLE IF EXISTS materialized_phases_daily, materialized_latency_daily, materialized_checks_daily,
                     materialized_phases_hourly, materialized_latency_hourly, materialized_checks_hourly,
                     materialized_phases_15m, materialized_latency_15m, materialized_checks_15m CASCADE;
DROP TABLE IF EXISTS aggregates_state CASCADE;
DROP FUNCTION IF EXISTS aggregates_watermark();
DROP FUNCTION IF EXISTS local_hour(timestamptz, text);
DELETE FROM touched_ranges;
DROP TABLE IF EXISTS upgrade_tasks;
