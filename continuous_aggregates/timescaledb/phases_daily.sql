-- Days of the reporting time zone: 23, 24 or 25 hours long.
CREATE MATERIALIZED VIEW phases_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('1 day', bucket, {time_zone}) AS bucket,
       service_id,
       location,
       sum(checks)::bigint    AS checks,
       sum(sum_ms)            AS sum_ms,
       sum(sum_dns_ms)        AS sum_dns_ms,
       sum(sum_connect_ms)    AS sum_connect_ms,
       sum(sum_tls_ms)        AS sum_tls_ms,
       sum(sum_first_byte_ms) AS sum_first_byte_ms
FROM phases_hourly
GROUP BY 1, service_id, location
WITH NO DATA;

CREATE INDEX ON phases_daily (service_id, bucket);
