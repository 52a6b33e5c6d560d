-- Fifteen minutes divide every zone's hours, those at :30 and :45 too: the base of all days. Real-time: buckets that are
-- not materialised yet are computed when they are read.
CREATE MATERIALIZED VIEW checks_15m
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('15 minutes', scheduled_at)                                   AS bucket,
       service_id,
       location,
       count(*)                                                                  AS checks,
       count(*) FILTER (WHERE severity = 'o')                                    AS operational,
       count(*) FILTER (WHERE severity = 'po')                                   AS degraded,
       count(*) FILTER (WHERE severity = 'mo')                                   AS failed,
       max(severity)                                                             AS worst,
       sum(interval_seconds)                                                     AS covered_seconds,
       coalesce(sum(interval_seconds) FILTER (WHERE severity = 'po'), 0)         AS degraded_seconds,
       coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0)         AS down_seconds,
       count(total_ms) FILTER (WHERE success)                                    AS good,
       coalesce(sum(total_ms::double precision) FILTER (WHERE success), 0)       AS sum_ms,
       min(total_ms) FILTER (WHERE success)                                      AS min_ms,
       max(total_ms) FILTER (WHERE success)                                      AS max_ms
FROM checks
GROUP BY bucket, service_id, location
WITH NO DATA;

CREATE INDEX ON checks_15m (service_id, bucket);

ALTER MATERIALIZED VIEW checks_15m
    SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'service_id, location', timescaledb.orderby = 'bucket');
