-- The same on its way through the recorder: see bench/recording.py.
INSERT INTO incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                             total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
FROM noise(%(first)s, %(last)s, %(low)s, %(high)s, %(every)s)
