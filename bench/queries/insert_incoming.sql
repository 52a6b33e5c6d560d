-- Inserts random checks into the table that record_checks_v2() reads.
INSERT INTO incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                             total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
FROM random_checks(%(first)s, %(last)s, %(low)s, %(high)s, %(every)s)
