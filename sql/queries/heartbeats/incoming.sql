-- Puts checks of heartbeats into incoming_checks.
INSERT INTO incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, success, severity, total_ms, attempts,
                             error_type, error_message)
SELECT service_id, %(location)s, scheduled_at, finished_at, interval_seconds, NOT failing, CASE WHEN failing THEN 'mo' ELSE 'o' END,
       total_ms, 1, error_type, error_message
FROM jsonb_to_recordset(%(checks)s) AS given
    (service_id text, scheduled_at timestamptz, finished_at timestamptz, interval_seconds integer, failing boolean, total_ms real,
     error_type text, error_message text)
