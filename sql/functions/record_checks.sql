-- The only way a check is written. Takes the rows of the session's temporary table incoming_checks, and in the caller's
-- transaction stores each once, moves the present state and the outages, appends events and notifies. Safe to repeat: a row
-- that is already there changes nothing.
--
-- Rows that cannot be stored are set aside in parked_checks with the reason; the rest of the batch is stored.
CREATE OR REPLACE FUNCTION record_checks(OUT stored integer, OUT duplicates integer, OUT parked integer)
    LANGUAGE plpgsql AS
$$
DECLARE
    zone        text;
    oldest      timestamptz;
    edge        timestamptz;
    careful     boolean := false;
    several     CONSTANT boolean := (SELECT count(*) > 1 FROM locations);
    service_ids text[];
    lows        timestamptz[];
    late        tstzmultirange;
    days        jsonb;
BEGIN
    PERFORM lock_recording();
    SELECT time_zone, oldest_check() INTO zone, oldest FROM installation;
    -- What is older than this may have been materialised, or be so before this transaction commits: buckets are when they
    -- ended fifteen minutes ago.
    edge := greatest(aggregates_watermark(), now() - interval '10 minutes');

    -- Rows newer than the latest known one are new: a plain INSERT takes half the time of ON CONFLICT. Should that ever not
    -- hold (rows that came into checks by another way), the batch is taken again, every row with care.
    LOOP
        BEGIN
            WITH incoming AS MATERIALIZED (
                -- Each row beside what is known of its service, its location, and its latest check. Joined here, where the
                -- planner sees the size of the batch: behind the filter on `reason` it would take a thousand rows for two.
                SELECT batch.*,
                       latest.scheduled_at AS known_at,
                       latest.severity     AS known_severity,
                       latest.day          AS known_day,
                       latest.day_worst    AS known_worst,
                       latest.expired,
                       latest.scheduled_at + check_lifetime(latest.interval_seconds) AS known_dies_at,
                       CASE
                           WHEN known_services.id IS NULL THEN 'unknown service'
                           WHEN known_locations.id IS NULL THEN 'unknown location'
                           WHEN num_nulls(batch.scheduled_at, batch.finished_at, batch.interval_seconds, success, batch.severity, attempts) > 0
                               THEN 'incomplete'
                           WHEN batch.scheduled_at > now() + interval '5 minutes' THEN 'from the future'
                           WHEN batch.scheduled_at < oldest THEN 'older than retention'
                           WHEN batch.finished_at < batch.scheduled_at - interval '1 minute' THEN 'finished before it began'
                           WHEN batch.severity NOT IN ('o', 'po', 'mo') THEN 'severity is none of o, po, mo'
                           WHEN success = (batch.severity = 'mo') THEN 'success contradicts severity'
                           WHEN batch.interval_seconds NOT BETWEEN 1 AND 86400 THEN 'interval out of range'
                           WHEN attempts NOT BETWEEN 1 AND 100 THEN 'attempts out of range'
                           WHEN batch.status_code NOT BETWEEN 100 AND 999 THEN 'status code out of range'
                           WHEN least(batch.total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms) < 0
                             OR greatest(batch.total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms) > 1e7 THEN 'time out of range'
                           WHEN batch.error_type NOT IN ('timeout', 'connection_error', 'dns_error', 'tls_error', 'http_error',
                                                   'assertion_failed', 'unknown_error') THEN 'unknown error type'
                       END AS reason
                FROM incoming_checks AS batch
                LEFT JOIN services AS known_services ON known_services.id = batch.service_id
                LEFT JOIN locations AS known_locations ON known_locations.id = batch.location
                LEFT JOIN latest_checks AS latest ON latest.service_id = batch.service_id AND latest.location = batch.location
            ), set_aside AS (
                INSERT INTO parked_checks (reason, data)
                SELECT reason, to_jsonb(incoming) - ARRAY['reason', 'known_at', 'known_severity', 'known_day', 'known_worst', 'expired', 'known_dies_at']
                FROM incoming WHERE reason IS NOT NULL
                RETURNING 1
            ), sequence AS MATERIALIZED (
                -- Each row beside the ones before and after it: in this batch, or the latest known.
                SELECT service_id, location, scheduled_at,
                       -- To the end of the quarter second: constant for most services, where microseconds would be the
                       -- largest column when compressed. total_ms has the duration.
                       date_bin('250 milliseconds', finished_at, scheduled_at) + interval '250 milliseconds' AS finished_at,
                       interval_seconds, status_code, success, severity::severity AS severity,
                       -- Sixteenths of a millisecond: binary fractions compress a third better, and no network is steadier.
                       round(total_ms * 16) / 16 AS total_ms, round(dns_ms * 16) / 16 AS dns_ms,
                       round(connect_ms * 16) / 16 AS connect_ms, round(tls_ms * 16) / 16 AS tls_ms,
                       round(first_byte_ms * 16) / 16 AS first_byte_ms,
                       attempts, error_type, left(error_message, 500) AS error_message,
                       (scheduled_at AT TIME ZONE zone)::date            AS day,
                       known_at,
                       known_day,
                       known_worst,
                       coalesce(expired, true)                           AS expired,
                       lag(severity::severity, 1, known_severity) OVER run AS previous,
                       greatest(max(severity::severity) OVER (PARTITION BY service_id, location,
                                                              (scheduled_at AT TIME ZONE zone)::date),
                                CASE WHEN known_day = (scheduled_at AT TIME ZONE zone)::date THEN known_worst END)
                                                                         AS day_worst,
                       lag(scheduled_at, 1, known_at) OVER run           AS previous_at,
                       lag(scheduled_at + check_lifetime(interval_seconds), 1, known_dies_at) OVER run < now() AS gone,
                       lag(scheduled_at) OVER run = scheduled_at         AS repeated,
                       lead(scheduled_at) OVER run IS NULL               AS newest,
                       NOT careful AND coalesce(scheduled_at > known_at, false) AS fresh
                FROM incoming
                WHERE reason IS NULL
                WINDOW run AS (PARTITION BY service_id, location ORDER BY scheduled_at)
            ), insert_fresh AS (
                INSERT INTO checks
                SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
                FROM sequence
                WHERE fresh AND repeated IS NOT TRUE
            ), insert_others AS (
                INSERT INTO checks
                SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
                FROM sequence
                WHERE NOT fresh AND repeated IS NOT TRUE
                ON CONFLICT DO NOTHING
                RETURNING service_id, scheduled_at, severity
            ), renew_latest AS (
                UPDATE latest_checks
                SET scheduled_at = sequence.scheduled_at, finished_at = sequence.finished_at,
                    interval_seconds = sequence.interval_seconds, status_code = sequence.status_code,
                    severity = sequence.severity, total_ms = sequence.total_ms, error_type = sequence.error_type,
                    error_message = sequence.error_message, day = sequence.day, day_worst = sequence.day_worst,
                    expired = false
                FROM sequence
                WHERE latest_checks.service_id = sequence.service_id AND latest_checks.location = sequence.location
                  AND newest AND sequence.scheduled_at > known_at
            ), add_latest AS (
                INSERT INTO latest_checks
                SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, severity, total_ms,
                       error_type, error_message, day, day_worst
                FROM sequence
                WHERE newest AND known_at IS NULL
            ), news AS (
                -- Nothing is derived for a check that says what the one before it said, as long as that one still speaks.
                -- When it does not, a state may have been derived without it: this check brings its service back, and
                -- where several locations vote it may change the vote of the time between the two.
                SELECT service_id, CASE WHEN gone AND several THEN previous_at ELSE scheduled_at END AS scheduled_at
                FROM sequence
                WHERE fresh AND repeated IS NOT TRUE
                  AND (severity <> previous OR expired
                       OR gone AND (several OR scheduled_at + check_lifetime(interval_seconds) >= now()))
                UNION ALL
                SELECT service_id, scheduled_at FROM insert_others
            ), spans AS (
                SELECT service_id, min(scheduled_at) AS low FROM news GROUP BY service_id
            ), worse_days AS (
                SELECT service_id, day, max(severity) AS worst
                FROM (
                    SELECT service_id, day, severity
                    FROM sequence
                    WHERE fresh AND (day <> known_day OR severity > known_worst)
                    UNION ALL
                    SELECT service_id, (scheduled_at AT TIME ZONE zone)::date, severity FROM insert_others
                ) AS rows_that_count
                GROUP BY service_id, day
            ), late_quarters AS (
                SELECT DISTINCT date_bin('15 minutes', scheduled_at, timestamptz '2000-01-01 00:00Z') AS quarter
                FROM (
                    SELECT scheduled_at FROM sequence WHERE fresh
                    UNION ALL
                    SELECT scheduled_at FROM insert_others
                ) AS times
                WHERE scheduled_at < edge
            ), counts AS (
                SELECT (SELECT count(*) FROM sequence)                                        AS good,
                       (SELECT count(*) FROM sequence WHERE fresh AND repeated IS NOT TRUE)
                           + (SELECT count(*) FROM insert_others)                             AS stored
            )
            SELECT counts.stored,
                   counts.good - counts.stored,
                   (SELECT count(*) FROM set_aside),
                   (SELECT array_agg(service_id ORDER BY service_id) FROM spans),
                   (SELECT array_agg(low ORDER BY service_id) FROM spans),
                   (SELECT range_agg(tstzrange(quarter, quarter + interval '15 minutes')) FROM late_quarters),
                   (SELECT jsonb_agg(to_jsonb(worse_days)) FROM worse_days)
            FROM counts
            INTO stored, duplicates, parked, service_ids, lows, late, days;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            IF careful THEN
                RAISE;
            END IF;
            careful := true;
        END;
    END LOOP;

    PERFORM keep_certificates();
    IF late IS NOT NULL THEN
        INSERT INTO touched_ranges (range) SELECT unnest(late);
        PERFORM pg_notify('sla_monitor', 'ranges');
    END IF;
    IF service_ids IS NOT NULL THEN
        PERFORM derive_states(service_ids, lows);
    END IF;
    IF days IS NOT NULL THEN
        PERFORM announce_days(days);
    END IF;
    IF stored > 0 THEN
        PERFORM pg_notify('sla_monitor', 'checks');
    END IF;
END
$$;
