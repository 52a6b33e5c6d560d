-- Uptime of one service over the last 24 hours (days = 1), by quarters of an hour, and over the last 7, 30, 90 and 365
-- local days, today included: always five rows. `coverage` is the share of the window that checks cover, in each bucket
-- those of the location that covers most of it; `downtime_seconds` is that of accounting or the mean of the locations, as
-- in the calendar; `first_at` is the first bucket with data, NULL without data.
WITH clock AS MATERIALIZED (
    SELECT zone, local_date(present(), zone) AS today FROM (SELECT reporting_time_zone() AS zone) AS setting
), spans AS MATERIALIZED (
    SELECT 1 AS days, date_bin('15 minutes', present() - interval '24 hours', timestamptz '2000-01-01 00:00Z') AS starts_at
    UNION ALL
    SELECT days, local_day_start(today - days + 1, zone)
    FROM clock
    CROSS JOIN unnest(ARRAY[7, 30, 90, 365]) AS days
), buckets AS (
    SELECT 1 AS least_days, 1 AS most_days, bucket, max(covered_seconds) AS known_seconds
    FROM checks_15m
    WHERE service_id = %(service_id)s AND bucket >= (SELECT starts_at FROM spans WHERE days = 1)
    GROUP BY bucket
    UNION ALL
    SELECT 7, 365, bucket, max(covered_seconds)
    FROM checks_daily
    WHERE service_id = %(service_id)s AND bucket >= (SELECT starts_at FROM spans WHERE days = 365)
      AND bucket <= (SELECT local_day_start(today, zone) FROM clock)
    GROUP BY bucket
), coverage AS (
    SELECT days,
           trunc(least(coalesce(sum(known_seconds), 0) / extract(epoch FROM present() - starts_at), 1), 4)::float8 AS coverage,
           min(bucket)                                                                                           AS first_at
    FROM spans
    LEFT JOIN buckets ON days BETWEEN least_days AND most_days AND bucket >= starts_at
    GROUP BY days, starts_at
), figures AS (
    SELECT 1 AS least_days, 1 AS most_days, starts_at, accounted, down_seconds, covered_seconds, lost_seconds, known_seconds,
           downtime_seconds
    FROM hours_of_services(ARRAY[%(service_id)s::text], (SELECT starts_at FROM spans WHERE days = 1))
    UNION ALL
    SELECT 7, 365, starts_at, accounted, down_seconds, covered_seconds, lost_seconds, known_seconds, downtime_seconds
    FROM days_of_services(ARRAY[%(service_id)s::text], (SELECT today - 364 FROM clock), (SELECT today FROM clock))
)
SELECT days,
       spans.starts_at,
       uptime_of_days(bool_or(accounted), sum(lost_seconds), sum(known_seconds), sum(down_seconds), sum(covered_seconds)) AS uptime,
       coverage,
       coalesce(round(sum(downtime_seconds)), 0)::bigint AS downtime_seconds,
       first_at
FROM spans
JOIN coverage USING (days)
LEFT JOIN figures ON days BETWEEN least_days AND most_days AND figures.starts_at >= spans.starts_at
GROUP BY days, spans.starts_at, coverage, first_at
ORDER BY days
