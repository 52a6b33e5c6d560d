-- The figures of month_from_daily.sql, from the raw rows.
SELECT service_id,
       uptime_percent(coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0), sum(interval_seconds)) AS uptime,
       count(*)                                                                AS checks,
       coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0)       AS down_seconds
FROM checks
WHERE scheduled_at >= %(low)s AND scheduled_at < %(high)s
GROUP BY service_id
ORDER BY service_id
