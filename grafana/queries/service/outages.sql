-- The outages of the service in the range, the latest first.
SELECT started_at AS "Start", ended_at AS "End", seconds AS "Length", error_type AS "Error"
FROM analytics.outages_v1
WHERE service_id = '$service' AND started_at <= $__timeTo()::timestamptz AND coalesce(ended_at, 'infinity') >= $__timeFrom()::timestamptz
ORDER BY started_at DESC
LIMIT 100
