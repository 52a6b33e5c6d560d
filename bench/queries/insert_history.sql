-- Inserts random checks of the first hours of each day, without record_checks_v2(). This statement must run before the first
-- refresh, which aggregates all raw rows.
INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                    total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity::severity,
       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz - interval '1 day', '1 day') AS day
CROSS JOIN LATERAL random_checks(%(first)s, %(last)s, day, day + %(hours)s * interval '1 hour', %(every)s)
WHERE scheduled_at < now()
