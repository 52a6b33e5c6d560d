-- Days of the reporting time zone: 23, 24 or 25 hours long.
CREATE MATERIALIZED VIEW latency_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('1 day', bucket, {time_zone}) AS bucket,
       service_id,
       location,
       bin,
       sum(checks)::bigint AS checks
FROM latency_hourly
GROUP BY 1, service_id, location, bin
WITH NO DATA;

CREATE INDEX ON latency_daily (service_id, bucket);
