-- As service_days, on the tables themselves: see buckets_v1.
CREATE VIEW analytics.days_v1 AS
SELECT service_id,
       (bucket AT TIME ZONE time_zone)::date AS day,
       bucket                                AS starts_at,
       count(DISTINCT location)              AS locations,
       sum(checks)::bigint                   AS checks,
       sum(degraded)::bigint                 AS degraded,
       sum(failed)::bigint                   AS failed,
       sum(covered_seconds)::bigint          AS covered_seconds,
       sum(degraded_seconds)::bigint         AS degraded_seconds,
       sum(down_seconds)::bigint             AS down_seconds,
       100 * (1 - sum(down_seconds)::numeric / nullif(sum(covered_seconds), 0)) AS observed_uptime,
       sum(good)::bigint                     AS timed_checks,
       sum(sum_ms) / nullif(sum(good), 0)    AS avg_ms,
       min(min_ms)                           AS min_ms,
       max(max_ms)                           AS max_ms
FROM (
    SELECT service_id, location, bucket, checks::bigint, degraded::bigint, failed::bigint, covered_seconds, degraded_seconds,
           down_seconds, good::bigint, sum_ms, min_ms, max_ms
    FROM rollups
    WHERE tier = 'daily'
    UNION ALL
    SELECT service_id, location, day_bucket(quarter), checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good, sum_ms,
           min_ms, max_ms
    FROM (
        SELECT service_id, location, date_bin('15 minutes', scheduled_at, timestamptz '2000-01-01 00:00Z') AS quarter,
               count(*)                                                          AS checks,
               count(*) FILTER (WHERE severity = 'po')                           AS degraded,
               count(*) FILTER (WHERE severity = 'mo')                           AS failed,
               sum(interval_seconds)                                             AS covered_seconds,
               coalesce(sum(interval_seconds) FILTER (WHERE severity = 'po'), 0) AS degraded_seconds,
               coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0) AS down_seconds,
               count(total_ms) FILTER (WHERE success)                            AS good,
               coalesce(sum(total_ms::double precision) FILTER (WHERE success), 0) AS sum_ms,
               min(total_ms) FILTER (WHERE success)                              AS min_ms,
               max(total_ms) FILTER (WHERE success)                              AS max_ms
        FROM checks
        WHERE scheduled_at >= rollup_watermark()
        GROUP BY service_id, location, quarter
    ) AS live
) AS figures
CROSS JOIN installation
GROUP BY service_id, bucket, time_zone;

COMMENT ON VIEW analytics.days_v1 IS
    'one row for each service and local day that has checks, summed over its locations; days are those of SLA_MONITOR_TIMEZONE; kept for good';
COMMENT ON COLUMN analytics.days_v1.service_id IS 'the service, which may have been deleted since';
COMMENT ON COLUMN analytics.days_v1.day IS 'the date in the time zone of the installation';
COMMENT ON COLUMN analytics.days_v1.starts_at IS 'the first moment of the day';
COMMENT ON COLUMN analytics.days_v1.locations IS 'the number of locations that checked the service; the seconds are summed over them';
COMMENT ON COLUMN analytics.days_v1.checks IS 'the number of checks';
COMMENT ON COLUMN analytics.days_v1.degraded IS 'of those, the number of good checks slower than degraded_after_ms';
COMMENT ON COLUMN analytics.days_v1.failed IS 'of those, the number of failed checks';
COMMENT ON COLUMN analytics.days_v1.covered_seconds IS 'seconds that the checks stand for; the rest of the day, for each location, is unknown';
COMMENT ON COLUMN analytics.days_v1.degraded_seconds IS 'of those, the seconds that degraded checks stand for';
COMMENT ON COLUMN analytics.days_v1.down_seconds IS 'of those, the seconds that failed checks stand for';
COMMENT ON COLUMN analytics.days_v1.observed_uptime IS
    'percent of covered_seconds that is not down, not rounded, without SLA policies; the uptime under a policy is in sla_v1';
COMMENT ON COLUMN analytics.days_v1.timed_checks IS 'the number of good checks with a response time: the weight of avg_ms';
COMMENT ON COLUMN analytics.days_v1.avg_ms IS 'mean response time of these checks in milliseconds; NULL: none';
COMMENT ON COLUMN analytics.days_v1.min_ms IS 'least response time of these checks in milliseconds; NULL: none';
COMMENT ON COLUMN analytics.days_v1.max_ms IS 'greatest response time of these checks in milliseconds; NULL: none';
