-- Inserts hourly checks of the services 1 to `count`, without record_checks_v2(). Every 31st check of each service fails, so a
-- month has 23 or 24 outages.
INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity, total_ms,
                    first_byte_ms, attempts, error_type)
SELECT 'service-' || service, 'bench', slot, slot + interval '1 second', 3600, CASE WHEN down THEN 503 ELSE 200 END, NOT down,
       CASE WHEN down THEN 'mo' ELSE 'o' END::severity,
       wait, wait, 1, CASE WHEN down THEN 'http_error' END
FROM generate_series(%(low)s::timestamptz, %(high)s::timestamptz - interval '1 hour', '1 hour') AS slot
CROSS JOIN generate_series(1, %(count)s) AS service
CROSS JOIN LATERAL (
    SELECT (extract(epoch FROM slot)::bigint / 3600 + 13 * service) %% 31 = 0 AS down,
           exp(4.0 + service %% 11 * 0.15 + 0.3 * random_normal())             AS wait
) AS drawn
