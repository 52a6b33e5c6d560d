-- The seconds that all services together were down or degraded on each day in the range, summed over the locations.
SELECT starts_at AS "time", sum(degraded_seconds) AS "Degraded", sum(down_seconds) AS "Outage"
FROM analytics.days_v1
WHERE starts_at BETWEEN $__timeFrom()::timestamptz - interval '1 day' AND $__timeTo()::timestamptz
GROUP BY starts_at
ORDER BY starts_at
