-- The newest checks of one service in the last week, from all locations. Each location is read by the key of checks, so
-- that few rows are read.
SELECT newest.*
FROM latest_checks AS known
CROSS JOIN LATERAL (
    SELECT scheduled_at, location, severity::text AS severity, status_code, total_ms, dns_ms, connect_ms, tls_ms,
           first_byte_ms, attempts, error_type, error_message
    FROM checks
    WHERE checks.service_id = %(service_id)s AND checks.location = known.location
      AND checks.scheduled_at > present() - interval '7 days'
    ORDER BY checks.scheduled_at DESC
    LIMIT %(limit)s
) AS newest
WHERE known.service_id = %(service_id)s
ORDER BY scheduled_at DESC, location
LIMIT %(limit)s
