-- A past, straight into the table: as the recorder would have stored it, in one statement; some hours of each day. It has to
-- be loaded before the first refresh, which takes all there is into the aggregates.
INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                    total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity::severity,
       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz - interval '1 day', '1 day') AS day
CROSS JOIN LATERAL noise(%(first)s, %(last)s, day, day + %(hours)s * interval '1 hour', %(every)s)
WHERE scheduled_at < now()
