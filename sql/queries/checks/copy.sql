-- Copies a batch into incoming_checks; the columns have the order of the prober's Check.
COPY incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                      total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message,
                      certificate_expires_at, certificate_issuer)
FROM STDIN (FORMAT binary)
