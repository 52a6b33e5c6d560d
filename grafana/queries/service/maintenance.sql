-- Maintenance of the service from the start of the range on, also planned one.
SELECT starts_at AS "Start", ends_at AS "End", seconds AS "Length", title AS "Title", notice_seconds AS "Announced before"
FROM analytics.maintenance_v1
WHERE service_id = '$service' AND ends_at >= $__timeFrom()::timestamptz
ORDER BY starts_at DESC
LIMIT 50
