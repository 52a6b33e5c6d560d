-- Days of the reporting time zone: 23, 24 or 25 hours long.
CREATE MATERIALIZED VIEW checks_daily
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('1 day', bucket, {time_zone}) AS bucket,
       service_id,
       location,
       sum(checks)::bigint           AS checks,
       sum(operational)::bigint      AS operational,
       sum(degraded)::bigint         AS degraded,
       sum(failed)::bigint           AS failed,
       max(worst)                    AS worst,
       sum(covered_seconds)::bigint  AS covered_seconds,
       sum(degraded_seconds)::bigint AS degraded_seconds,
       sum(down_seconds)::bigint     AS down_seconds,
       sum(good)::bigint             AS good,
       sum(sum_ms)                   AS sum_ms,
       min(min_ms)                   AS min_ms,
       max(max_ms)                   AS max_ms
FROM checks_hourly
GROUP BY 1, service_id, location
WITH NO DATA;

CREATE INDEX ON checks_daily (service_id, bucket);
