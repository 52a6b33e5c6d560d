-- The last check of each service.
INSERT INTO latest_checks
SELECT DISTINCT ON (service_id) service_id, location, scheduled_at, finished_at, interval_seconds, status_code, severity,
       total_ms, error_type, error_message, (scheduled_at AT TIME ZONE reporting_time_zone())::date, severity
FROM checks
WHERE scheduled_at > now() - interval '3 days'
ORDER BY service_id, scheduled_at DESC
