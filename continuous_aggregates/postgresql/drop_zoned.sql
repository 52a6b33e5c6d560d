-- The aggregates whose buckets depend on the reporting time zone, dropped to be made again for another one from the fifteen
-- minutes, which are kept for good.
DROP TABLE IF EXISTS materialized_phases_daily, materialized_latency_daily, materialized_checks_daily,
                     materialized_phases_hourly, materialized_latency_hourly, materialized_checks_hourly CASCADE;
