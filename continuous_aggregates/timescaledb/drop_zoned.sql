-- The aggregates whose buckets depend on the reporting time zone, dropped to be made again for another one from the fifteen
-- minutes, which are kept for good. Their past is refreshed through touched_ranges: a policy reaches only its start offset.
DROP MATERIALIZED VIEW IF EXISTS latency_daily;
DROP MATERIALIZED VIEW IF EXISTS checks_daily;
DROP MATERIALIZED VIEW IF EXISTS latency_hourly;
DROP MATERIALIZED VIEW IF EXISTS checks_hourly;

INSERT INTO touched_ranges (range)
SELECT tstzrange(min(bucket), now()) FROM checks_15m HAVING min(bucket) < now();
