-- Random checks: the durations of the phases are log-normal with a daily rhythm, and each service has its own level and its own
-- phase in the schedule. One check in a hundred fails, with an error message of the prober.
CREATE FUNCTION random_checks(first_service integer, last_service integer, low timestamptz, high timestamptz, every integer)
RETURNS TABLE (
    service_id text, location text, scheduled_at timestamptz, finished_at timestamptz, interval_seconds integer,
    status_code smallint, success boolean, severity text, total_ms real, dns_ms real, connect_ms real, tls_ms real,
    first_byte_ms real, attempts smallint, error_type text, error_message text
)
LANGUAGE sql AS
$$
    SELECT 'service-' || service,
           'bench',
           due,
           due + (late_ms + CASE WHEN luck < 0.004 THEN 7000 ELSE dns + connect + tls + wait + 0.3 END) * interval '1 ms',
           every,
           CASE WHEN luck < 0.004 THEN NULL WHEN luck < 0.01 THEN 503 ELSE 200 END::smallint,
           luck >= 0.01,
           CASE WHEN luck < 0.01 THEN 'mo' WHEN dns + connect + tls + wait > 3000 THEN 'po' ELSE 'o' END,
           CASE WHEN luck < 0.004 THEN 7000 ELSE dns + connect + tls + wait + 0.3 END,
           dns, connect, tls,
           CASE WHEN luck >= 0.004 THEN wait END,
           1::smallint,
           CASE WHEN luck < 0.004 THEN 'timeout' WHEN luck < 0.01 THEN 'http_error' END,
           CASE WHEN luck < 0.004 THEN 'timed out after 7000 ms while waiting for the first byte'
                WHEN luck < 0.01 THEN 'expected status 200, got 503' END
    FROM (
        SELECT service,
               slot + (hashtext('service-' || service) & 65535) % (every * 1000) * interval '1 ms' AS due,
               random()                                                    AS luck,
               1 + random()                                                AS late_ms,
               exp(0.3 + 0.4 * random_normal())                            AS dns,
               exp(1.5 + service % 7 * 0.3 + 0.1 * random_normal())       AS connect,
               exp(2.5 + service % 7 * 0.3 + 0.1 * random_normal())       AS tls,
               exp(4.0 + service % 11 * 0.15 + 0.3 * random_normal()
                   + 0.4 * sin(extract(epoch FROM slot) * 2 * pi() / 86400)) AS wait
        FROM generate_series(low, high - every * interval '1 second', every * interval '1 second') AS slot,
             generate_series(first_service, last_service) AS service
    ) AS drawn
$$
