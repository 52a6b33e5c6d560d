-- The incidents in the range, the latest first.
SELECT incident_id AS "Incident", title AS "Title", status AS "Status", severity AS "Severity", created_at AS "Start", resolved_at AS "End",
       open_seconds AS "Length"
FROM analytics.incidents_v1
WHERE created_at <= $__timeTo()::timestamptz AND coalesce(resolved_at, 'infinity') >= $__timeFrom()::timestamptz
ORDER BY created_at DESC
LIMIT 50
