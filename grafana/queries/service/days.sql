-- The share of the known time that was not down on each day in the range, without an SLA policy.
SELECT starts_at AS "time", observed_uptime AS "Observed uptime"
FROM analytics.days_v1
WHERE service_id = '$service' AND starts_at BETWEEN $__timeFrom()::timestamptz - interval '1 day' AND $__timeTo()::timestamptz
ORDER BY 1
