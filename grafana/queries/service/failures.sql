-- The latest checks in the range that were not operational.
SELECT scheduled_at AS "Check", location AS "Location", state AS "State", error_type AS "Error", status_code AS "Status code",
       total_ms AS "Time", attempts AS "Attempts"
FROM analytics.checks_v1
WHERE service_id = '$service' AND $__timeFilter(scheduled_at) AND state <> 'operational'
ORDER BY scheduled_at DESC
LIMIT 100
