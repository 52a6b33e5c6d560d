-- The outages in the range, the latest first.
SELECT service_id, coalesce(name, service_id) AS "Service", started_at AS "Start", ended_at AS "End", seconds AS "Length", error_type AS "Error"
FROM analytics.outages_v1
LEFT JOIN analytics.services_v1 USING (service_id)
WHERE started_at <= $__timeTo()::timestamptz AND coalesce(ended_at, 'infinity') >= $__timeFrom()::timestamptz
ORDER BY started_at DESC
LIMIT 100
