-- Uptime of one service over the last 24 hours (days = 1), by quarters of an hour, and over the last 7, 30, 90 and 365
-- local days, today included: always five rows. `coverage` is the share of the window that checks cover, in each bucket
-- those of the location that covers most of it; `downtime_seconds` is the mean of the locations, as in the calendar;
-- `first_at` is the first bucket with data, NULL without data.
WITH clock AS MATERIALIZED (
    SELECT zone, local_date(present(), zone) AS today FROM (SELECT reporting_time_zone() AS zone) AS setting
), spans AS MATERIALIZED (
    SELECT 1 AS days, date_bin('15 minutes', present() - interval '24 hours', timestamptz '2000-01-01 00:00Z') AS starts_at
    UNION ALL
    SELECT days, local_day_start(today - days + 1, zone)
    FROM clock
    CROSS JOIN unnest(ARRAY[7, 30, 90, 365]) AS days
), buckets AS (
    SELECT 1                                          AS least_days,
           1                                          AS most_days,
           bucket,
           sum(down_seconds)                          AS down_seconds,
           sum(covered_seconds)                       AS covered_seconds,
           max(covered_seconds)                       AS known_seconds,
           sum(down_seconds) / count(*)               AS downtime_seconds
    FROM checks_15m
    WHERE service_id = %(service_id)s AND bucket >= (SELECT starts_at FROM spans WHERE days = 1)
    GROUP BY bucket
    UNION ALL
    SELECT 7, 365, bucket, sum(down_seconds), sum(covered_seconds), max(covered_seconds),
           div(sum(down_seconds), count(*))
    FROM checks_daily
    WHERE service_id = %(service_id)s AND bucket >= (SELECT starts_at FROM spans WHERE days = 365)
      AND bucket <= (SELECT local_day_start(today, zone) FROM clock)
    GROUP BY bucket
)
SELECT days,
       spans.starts_at,
       uptime_percent(sum(down_seconds), sum(covered_seconds)) AS uptime,
       trunc(least(coalesce(sum(known_seconds), 0) / extract(epoch FROM present() - spans.starts_at), 1), 4)::float8 AS coverage,
       coalesce(round(sum(downtime_seconds)), 0)::bigint       AS downtime_seconds,
       min(bucket)                                             AS first_at
FROM spans
LEFT JOIN buckets ON days BETWEEN least_days AND most_days AND bucket >= spans.starts_at
GROUP BY days, spans.starts_at
ORDER BY days
