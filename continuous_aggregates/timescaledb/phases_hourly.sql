-- Hours of the reporting time zone.
CREATE MATERIALIZED VIEW phases_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('1 hour', bucket, {time_zone}) AS bucket,
       service_id,
       location,
       sum(checks)::bigint    AS checks,
       sum(sum_ms)            AS sum_ms,
       sum(sum_dns_ms)        AS sum_dns_ms,
       sum(sum_connect_ms)    AS sum_connect_ms,
       sum(sum_tls_ms)        AS sum_tls_ms,
       sum(sum_first_byte_ms) AS sum_first_byte_ms
FROM phases_15m
GROUP BY 1, service_id, location
WITH NO DATA;

CREATE INDEX ON phases_hourly (service_id, bucket);
