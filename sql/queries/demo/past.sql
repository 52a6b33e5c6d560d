-- Generates the checks of the demo from `first` up to `until`, every five minutes, into incoming_checks. The same times, `now` and seed give
-- the same checks: random numbers are hashes of service and slot.
--
-- habits: how long a service takes on a usual day, in milliseconds, and how uneven that is.
-- episodes: unusual times. A share of the checks fails (1: an outage), or all take `factor` times as long; with neither there are no
-- checks. Times are local, on the day `days_ago` days ago; without a service_id all services are affected.
WITH clock AS (
    SELECT zone, (%(now)s::timestamptz AT TIME ZONE zone)::date AS today FROM (SELECT reporting_time_zone() AS zone) AS here
), habits (service_id, median_ms, unevenness, first_byte_share, dns_ms, connect_ms, tls_ms) AS (
    VALUES ('demo-healthy',            40, 0.12, 0.97, NULL, 0.2, NULL),
           ('demo-slow',              430, 0.10, 0.99, NULL, 0.2, NULL),
           ('demo-flaky',              90, 0.20, 0.98, NULL, 0.2, NULL),
           ('demo-failing',            25, 0.15, 0.95, NULL, 0.2, NULL),
           ('demo-wrong-certificate',  45, 0.12, 0.80, NULL, 0.2, 4.5),
           ('demo-dead-name',         120, 0.25, 0.70,  6.0,  18, NULL)
), planned (service_id, days_ago, at, lasts, share, factor, status_code, error_type, error_message) AS (
    VALUES
        (NULL,                     51, time '16:20', interval '40 hours',   0.0,   NULL, NULL, NULL, NULL),
        (NULL,                     18, time '02:05', interval '3 hours',    0.0,   NULL, NULL, NULL, NULL),
        ('demo-healthy',           63, time '10:40', interval '10 minutes', 1.0,   1.0,  503, 'http_error',
         'HTTP 503, expected 200'),
        ('demo-healthy',           29, time '14:00', interval '4 hours',    0.0,   28.0, NULL, NULL, NULL),
        ('demo-healthy',            9, time '03:15', interval '15 minutes', 1.0,   NULL, NULL, 'connection_error',
         'connection refused'),
        ('demo-slow',              37, time '11:30', interval '20 minutes', 1.0,   NULL, NULL, 'timeout',
         'timed out after 5000 ms while waiting for the first byte'),
        ('demo-failing',           74, time '22:10', interval '25 minutes', 1.0,   1.0,  502, 'http_error',
         'HTTP 502, expected 200'),
        ('demo-failing',           44, time '13:30', interval '3 hours',    0.0,   40.0, NULL, NULL, NULL),
        ('demo-wrong-certificate', 60, time '00:00', interval '50 minutes', 1.0,   NULL, NULL, 'tls_error',
         'the certificate has expired'),
        ('demo-dead-name',         80, time '06:35', interval '10 minutes', 1.0,   NULL, NULL, 'dns_error',
         'the name servers did not respond (temporary failure in name resolution)'),
        ('demo-dead-name',         24, time '19:50', interval '35 minutes', 1.0,   NULL, NULL, 'connection_error',
         'connection reset while waiting for the first byte')
), episodes AS (
    SELECT service_id,
           tstzrange(begins_at, begins_at + lasts) AS during,
           share, factor, status_code, error_type, error_message
    FROM (SELECT planned.*, (today - days_ago + at) AT TIME ZONE zone AS begins_at FROM planned, clock) AS dated
    UNION ALL
    -- Episodes that last until now.
    SELECT service_id, tstzrange(%(now)s::timestamptz - since, NULL), 1.0, factor, status_code, error_type, error_message
    FROM (VALUES ('demo-failing',           interval '3 hours',            1.0,  500,  'http_error', 'HTTP 500, expected 200'),
                 ('demo-wrong-certificate', interval '2 days 5 hours',     NULL, NULL, 'tls_error',  'self-signed certificate'),
                 ('demo-dead-name',         interval '6 days 10 hours',    NULL, NULL, 'dns_error',  'name not found'))
        AS lasting (service_id, since, factor, status_code, error_type, error_message)
    UNION ALL
    -- Recurring episodes, on days that are chosen by the hash of their number.
    SELECT service_id, tstzrange(begins_at, begins_at + lasts), share, factor, status_code, error_type, error_message
    FROM (VALUES ('demo-slow',  5, time '13:00', interval '4 hours', 0.0,   1.9, NULL, NULL,         NULL),
                 ('demo-flaky', 4, time '09:30', interval '2 hours', 0.125, 1.0, 503,  'http_error', 'HTTP 503, expected 200'))
             AS recurring (service_id, one_day_in, at, lasts, share, factor, status_code, error_type, error_message)
    CROSS JOIN clock
    CROSS JOIN generate_series(1, 90) AS days_ago
    CROSS JOIN LATERAL (SELECT (today - days_ago + at) AT TIME ZONE zone AS begins_at) AS dated
    WHERE mod(hashint8extended(days_ago, %(seed)s + one_day_in), one_day_in) = 0
), slots AS (
    SELECT service_id, at, local_at, habits.median_ms, unevenness, first_byte_share, dns_ms, connect_ms, tls_ms,
           -- Three numbers from above 0 to 1, made of 30 bits each.
           ((hashtextextended(service_id, %(seed)s + number)     & 1073741823) + 1) / 1073741824.0::float8 AS chance,
           ((hashtextextended(service_id, %(seed)s + number + 1) & 1073741823) + 1) / 1073741824.0::float8 AS chance_2,
           ((hashtextextended(service_id, %(seed)s + number + 2) & 1073741823) + 1) / 1073741824.0::float8 AS chance_3
    FROM habits
    CROSS JOIN clock
    CROSS JOIN generate_series(%(first)s::timestamptz, %(until)s::timestamptz - interval '5 minutes', '5 minutes') AS at
    CROSS JOIN LATERAL (SELECT at AT TIME ZONE zone AS local_at, extract(epoch FROM at)::bigint AS number) AS named
), results AS (
    SELECT slots.service_id, at, dns_ms, connect_ms, tls_ms, first_byte_share, status_code, error_type, error_message,
           coalesce(chance <= share, false) AS failed,
           -- Slowest at 14:00, fastest at 02:00; half of that difference on weekends. Log-normal around that.
           median_ms * coalesce(factor, 1)
               * (1 + 0.25 * cos(2 * pi() * (extract(epoch FROM local_at::time) / 86400 - 14 / 24.0))
                           * CASE WHEN extract(isodow FROM local_at) > 5 THEN 0.5 ELSE 1 END)
               * exp(unevenness * sqrt(-2 * ln(chance_2)) * cos(2 * pi() * chance_3)) AS response_ms
    FROM slots
    LEFT JOIN LATERAL (
        SELECT *
        FROM episodes
        WHERE during @> at AND (episodes.service_id = slots.service_id OR episodes.service_id IS NULL)
        ORDER BY episodes.service_id NULLS FIRST, lower(during) DESC
        LIMIT 1
    ) AS episode ON true
    WHERE NOT (episode.during IS NOT NULL AND share = 0 AND factor IS NULL)
), timed AS (
    -- The phases that a failed check reached, and its duration.
    SELECT *,
           NOT failed OR error_type <> 'dns_error'                                      AS resolved,
           NOT failed OR error_type NOT IN ('dns_error', 'connection_error')            AS connected,
           NOT failed OR error_type IN ('http_error', 'assertion_failed')               AS responded,
           CASE
               WHEN NOT failed OR error_type = 'http_error' THEN response_ms
               WHEN error_type = 'timeout' THEN 5000
               ELSE coalesce(dns_ms, 0) + connect_ms + coalesce(tls_ms, 0)
           END                                                                          AS total_ms
    FROM results
)
INSERT INTO incoming_checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                             total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
SELECT service_id,
       %(location)s,
       at,
       at + total_ms * interval '1 millisecond',
       300,
       CASE WHEN NOT failed THEN 200 ELSE status_code END,
       NOT failed,
       CASE WHEN failed THEN 'mo' WHEN total_ms > 800 THEN 'po' ELSE 'o' END,
       total_ms,
       CASE WHEN resolved THEN dns_ms END,
       CASE WHEN connected THEN connect_ms END,
       CASE WHEN responded THEN tls_ms END,
       CASE WHEN responded THEN total_ms * first_byte_share END,
       1,
       CASE WHEN failed THEN error_type END,
       CASE WHEN failed THEN error_message END
FROM timed
