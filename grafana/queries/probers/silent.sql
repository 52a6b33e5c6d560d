-- The services without a check for three intervals, those with the oldest check first.
SELECT service_id, name AS "Service", checked_at AS "Last check", extract(epoch FROM now() - checked_at) AS "Silent for",
       interval_seconds AS "Interval"
FROM analytics.services_v1
WHERE enabled AND checked_at < now() - 3 * interval_seconds * interval '1 second'
ORDER BY checked_at
LIMIT 100
