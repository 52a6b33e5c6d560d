-- Hours of the reporting time zone.
CREATE MATERIALIZED VIEW latency_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('1 hour', bucket, {time_zone}) AS bucket,
       service_id,
       location,
       bin,
       sum(checks)::bigint AS checks
FROM latency_15m
GROUP BY 1, service_id, location, bin
WITH NO DATA;

CREATE INDEX ON latency_hourly (service_id, bucket);
