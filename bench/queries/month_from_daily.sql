-- The figures of every service in a span of time, from the daily rollups.
SELECT service_id,
       uptime_percent(sum(down_seconds), sum(covered_seconds)) AS uptime,
       sum(checks)::bigint                                     AS checks,
       sum(down_seconds)::bigint                               AS down_seconds
FROM checks_daily
WHERE bucket >= %(low)s AND bucket < %(high)s
GROUP BY service_id
ORDER BY service_id
