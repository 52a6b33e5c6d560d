-- The only way a check is written. Takes the rows of the session's temporary table incoming_checks, and in the caller's
-- transaction stores each once, keeps episodes, outages, the present state and the rollups, appends events and notifies. Safe to
-- repeat: a row that is already there changes nothing.
--
-- Rows that cannot be stored are set aside in parked_checks with the reason; the rest of the batch is stored.
--
-- Generic plans: all batches are alike, and planning takes longer than most of them. What reads raw checks is planned anew each time
-- (derive_episodes, fold_late), for the chunks or partitions of the times at hand.
CREATE OR REPLACE FUNCTION record_checks_v2(OUT stored integer, OUT duplicates integer, OUT parked integer)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS
$$
DECLARE
    oldest     timestamptz;
    edge       timestamptz;
    -- The times of this batch.
    earliest   timestamptz;
    latest     timestamptz;
    few        boolean;
    careful    boolean := false;
    -- Single checks, one to a position: those that change what is known of their service's states ...
    news_of    text[];
    news_from  text[];
    news_at    timestamptz[];
    -- ... and those whose time is in the rollups already.
    late_of    text[];
    late_from  text[];
    late_at    timestamptz[];
    -- ... and the ends of checks that have spoken until now, although they should have expired long ago.
    ended_of   text[];
    ended_from text[];
    ended_at   timestamptz[];
    ended_expiries timestamptz[];
    worse_days jsonb;
    -- What late checks add to the figures of their days; whether some figures of today have to be counted.
    days_of_late jsonb;
    uncounted  boolean;
    -- While an installation of release 0.1 is upgraded, its aggregates receive late checks too.
    upgrading  boolean;
    legacy_edge timestamptz;
    touched_at timestamptz[];
BEGIN
    PERFORM lock_recording();
    oldest := oldest_check();
    SELECT watermark, legacy INTO edge, upgrading FROM rollup_state;
    -- Where a batch is small beside the services, looking up those that it names takes less than reading all (measured: from eight
    -- services a row on; a page has some seventeen).
    SELECT min(scheduled_at), max(scheduled_at), count(*) < pg_relation_size('latest_checks') / 4096
    INTO earliest, latest, few
    FROM incoming_checks;
    IF upgrading THEN
        legacy_edge := greatest(aggregates_watermark(), present() - interval '10 minutes');
    END IF;

    -- Rows newer than the latest known one are new: a plain INSERT takes half the time of ON CONFLICT. Should that ever not
    -- hold (rows that came into checks by another way), the batch is taken again, every row with care.
    LOOP
        BEGIN
            WITH days AS MATERIALIZED (
                SELECT day, starts_at, ends_at
                FROM local_days(least(greatest(earliest, oldest), present()), least(latest, present() + interval '5 minutes'))
            -- OFFSET: read as they stand, and then hashed.
            ), known_services AS (
                SELECT id, enabled, timeout_ms, retries FROM services WHERE NOT few
                UNION ALL
                SELECT found.*
                FROM (SELECT DISTINCT service_id FROM incoming_checks WHERE few) AS wanted
                CROSS JOIN LATERAL (
                    SELECT id, enabled, timeout_ms, retries FROM services WHERE id = wanted.service_id LIMIT 1
                ) AS found
                OFFSET 0
            ), known AS (
                SELECT ctid AS place, * FROM latest_checks WHERE NOT few
                UNION ALL
                SELECT found.*
                FROM (SELECT DISTINCT service_id, location FROM incoming_checks WHERE few) AS wanted
                CROSS JOIN LATERAL (
                    SELECT ctid AS place, *
                    FROM latest_checks
                    WHERE service_id = wanted.service_id AND location = wanted.location
                    LIMIT 1
                ) AS found
                OFFSET 0
            ), incoming AS MATERIALIZED (
                -- Each row beside what is known of its service, its location, and its latest check. Joined here, where the
                -- planner sees the size of the batch: behind the filter on `reason` it would take a thousand rows for two.
                SELECT CASE
                           WHEN known_services.id IS NULL THEN 'unknown service'
                           WHEN known_locations.id IS NULL THEN 'unknown location'
                           WHEN num_nulls(batch.scheduled_at, batch.finished_at, batch.interval_seconds, success, batch.severity, attempts) > 0
                               THEN 'incomplete'
                           WHEN batch.scheduled_at > present() + interval '5 minutes' THEN 'from the future'
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
                       END AS reason,
                       batch.ctid              AS place,
                       known.place             AS known_place,
                       known.scheduled_at      AS known_at,
                       known.interval_seconds  AS known_interval,
                       known.severity          AS known_severity,
                       known.day               AS known_day,
                       known.day_worst         AS known_worst,
                       day_down_seconds        AS known_down_seconds,
                       day_covered_seconds     AS known_covered_seconds,
                       known.expired,
                       known_services.enabled,
                       -- Before the last pause, or in it.
                       coalesce(batch.scheduled_at <= paused_at OR batch.scheduled_at < resumed_at, false) AS was_paused,
                       check_duration(known_services.timeout_ms, known_services.retries) AS duration,
                       NOT careful AND coalesce(batch.scheduled_at > known.scheduled_at, false) AS fresh,
                       batch.*
                FROM incoming_checks AS batch
                LEFT JOIN known_services ON known_services.id = batch.service_id
                LEFT JOIN locations AS known_locations ON known_locations.id = batch.location
                LEFT JOIN known ON known.service_id = batch.service_id AND known.location = batch.location
                LEFT JOIN (
                    SELECT service_id, max(paused_at) AS paused_at, max(resumed_at) AS resumed_at
                    FROM service_pauses
                    WHERE resumed_at >= earliest
                    GROUP BY service_id
                ) AS pauses ON pauses.service_id = batch.service_id
            ), set_aside AS (
                INSERT INTO parked_checks (reason, data)
                SELECT reason, data
                FROM incoming
                CROSS JOIN LATERAL (
                    SELECT to_jsonb(batch) AS data FROM incoming_checks AS batch WHERE batch.ctid = place OFFSET 0
                ) AS original
                WHERE reason IS NOT NULL
                RETURNING 1
            ), valid AS (
                -- Of several rows of one check the first counts. All windows have this order, so that the batch is sorted once.
                SELECT DISTINCT ON (service_id, location, fresh, day, scheduled_at)
                       incoming.*,
                       days.day,
                       -- A check that comes when its life is over, or its service paused or has been meanwhile, speaks for the past
                       -- alone.
                       NOT enabled OR was_paused OR scheduled_at + check_lifetime(interval_seconds) + duration < present() AS is_over
                FROM incoming
                JOIN days ON scheduled_at >= days.starts_at AND scheduled_at < days.ends_at
                WHERE reason IS NULL
                ORDER BY service_id, location, fresh, day, scheduled_at, place
            ), sequence AS MATERIALIZED (
                -- Each row beside the one before it: in this batch, or the latest known. Fresh rows follow each other alone: what
                -- is not newer than the latest known one may be there already, and says nothing of what came before a fresh one.
                -- What the steps below choose rows by comes first: a column is found by way of all that are before it.
                SELECT fresh,
                       lag(scheduled_at) OVER run IS NULL                AS first_of_run,
                       lead(scheduled_at) OVER run IS NULL               AS newest,
                       -- One that goes on where the one before it ended and says the same is no news.
                       severity::severity <> lag(severity::severity, 1, known_severity) OVER run
                           OR scheduled_at > lag(scheduled_at + interval_seconds * interval '1 second', 1,
                                                 known_at + known_interval * interval '1 second') OVER run
                           OR coalesce(expired, true)
                           OR is_over                                    AS is_turn,
                       known_day,
                       day,
                       known_worst,
                       severity::severity                                AS severity,
                       scheduled_at,
                       known_at,
                       known_interval,
                       coalesce(expired, true)                           AS expired,
                       is_over,
                       known_place,
                       service_id,
                       location,
                       -- To the end of the quarter second: constant for most services, where microseconds would be the
                       -- largest column when compressed. total_ms has the duration.
                       date_bin('250 milliseconds', finished_at, scheduled_at) + interval '250 milliseconds' AS finished_at,
                       interval_seconds,
                       status_code,
                       success,
                       -- Sixteenths of a millisecond: binary fractions compress a third better, and no network is steadier.
                       round(total_ms * 16) / 16                         AS total_ms,
                       round(dns_ms * 16) / 16                           AS dns_ms,
                       round(connect_ms * 16) / 16                       AS connect_ms,
                       round(tls_ms * 16) / 16                           AS tls_ms,
                       round(first_byte_ms * 16) / 16                    AS first_byte_ms,
                       attempts,
                       error_type,
                       left(error_message, 500)                          AS error_message,
                       greatest(max(severity::severity) OVER day_run, CASE WHEN known_day = day THEN known_worst END)
                                                                         AS day_worst,
                       CASE WHEN known_day = day THEN known_down_seconds ELSE 0 END
                           + sum(CASE WHEN success THEN 0 ELSE interval_seconds END) OVER day_run
                                                                         AS day_down_seconds,
                       CASE WHEN known_day = day THEN known_covered_seconds ELSE 0 END + sum(interval_seconds) OVER day_run
                                                                         AS day_covered_seconds
                FROM valid
                WINDOW run     AS (PARTITION BY service_id, location, fresh ORDER BY day, scheduled_at),
                       day_run AS (PARTITION BY service_id, location, fresh, day ORDER BY scheduled_at)
            ), insert_fresh AS (
                INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                                    total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
                SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
                FROM sequence
                WHERE fresh
            ), insert_others AS (
                INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                                    total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
                SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                       total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
                FROM sequence
                WHERE NOT fresh
                ON CONFLICT DO NOTHING
                RETURNING service_id, location, scheduled_at, interval_seconds, severity
            ), renew_latest AS (
                -- Found where it was read: whoever writes to latest_checks holds the recording lock.
                UPDATE latest_checks
                SET scheduled_at = sequence.scheduled_at, finished_at = sequence.finished_at,
                    interval_seconds = sequence.interval_seconds, status_code = sequence.status_code,
                    severity = sequence.severity, total_ms = sequence.total_ms, error_type = sequence.error_type,
                    error_message = sequence.error_message, day = sequence.day, day_worst = sequence.day_worst,
                    -- What is not certain to be stored is counted afterwards.
                    day_down_seconds = CASE WHEN fresh THEN sequence.day_down_seconds END,
                    day_covered_seconds = CASE WHEN fresh THEN sequence.day_covered_seconds END,
                    expired = sequence.is_over
                FROM sequence
                WHERE latest_checks.ctid = known_place
                  AND newest AND sequence.scheduled_at > known_at
            ), add_latest AS (
                INSERT INTO latest_checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, severity,
                                           total_ms, error_type, error_message, day, day_worst, expired)
                SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, severity, total_ms,
                       error_type, error_message, day, day_worst, is_over
                FROM sequence
                WHERE newest AND known_at IS NULL
            ), late_rows AS (
                SELECT service_id, location, scheduled_at, interval_seconds, severity, day
                FROM insert_others
                JOIN days ON scheduled_at >= days.starts_at AND scheduled_at < days.ends_at
            ), news AS (
                -- Also what follows a turn in this batch. Most runs are of one row, which needs no window.
                SELECT service_id, location, scheduled_at
                FROM (
                    SELECT service_id, location, scheduled_at,
                           bool_or(is_turn) OVER (PARTITION BY service_id, location ORDER BY day, scheduled_at) AS is_news
                    FROM sequence
                    WHERE fresh AND (is_turn OR NOT (first_of_run AND newest))
                ) AS runs
                WHERE is_news
                UNION ALL
                SELECT service_id, location, scheduled_at FROM late_rows
            ), folded_already AS (
                SELECT service_id, location, scheduled_at FROM sequence WHERE fresh AND scheduled_at < edge
                UNION ALL
                SELECT service_id, location, scheduled_at FROM late_rows WHERE scheduled_at < edge
            ), worse AS (
                SELECT service_id, day, max(severity) AS worst
                FROM (
                    SELECT service_id, day, severity
                    FROM sequence
                    WHERE fresh AND (day <> known_day OR severity > known_worst)
                    UNION ALL
                    SELECT service_id, day, severity FROM late_rows
                ) AS noteworthy
                GROUP BY service_id, day
            ), late_days AS (
                SELECT service_id, location, day, max(severity) AS worst, sum(interval_seconds) AS covered_seconds,
                       coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0) AS down_seconds
                FROM late_rows
                GROUP BY service_id, location, day
            ), counts AS (
                SELECT (SELECT count(*) FROM incoming WHERE reason IS NULL)                                 AS good,
                       (SELECT count(*) FROM sequence WHERE fresh) + (SELECT count(*) FROM insert_others) AS stored
            )
            SELECT counts.stored,
                   counts.good - counts.stored,
                   (SELECT count(*) FROM set_aside),
                   (SELECT jsonb_agg(to_jsonb(worse)) FROM worse),
                   (SELECT jsonb_agg(to_jsonb(late_days)) FROM late_days),
                   EXISTS (SELECT FROM sequence WHERE newest AND NOT fresh AND (known_at IS NULL OR scheduled_at > known_at)),
                   ended.*,
                   changed.*,
                   late.*,
                   (SELECT array_agg(scheduled_at)
                    FROM (SELECT scheduled_at FROM sequence WHERE fresh UNION ALL SELECT scheduled_at FROM late_rows) AS stored_rows
                    WHERE scheduled_at < legacy_edge)
            FROM counts
            CROSS JOIN (
                SELECT array_agg(service_id), array_agg(location),
                       array_agg(known_at + known_interval * interval '1 second'),
                       array_agg(known_at + check_lifetime(known_interval))
                FROM sequence
                WHERE fresh AND first_of_run AND NOT expired AND scheduled_at > known_at + longest_check()
            ) AS ended
            CROSS JOIN (SELECT array_agg(service_id), array_agg(location), array_agg(scheduled_at) FROM news) AS changed
            CROSS JOIN (SELECT array_agg(service_id), array_agg(location), array_agg(scheduled_at) FROM folded_already) AS late
            INTO stored, duplicates, parked, worse_days, days_of_late, uncounted, ended_of, ended_from, ended_at, ended_expiries,
                 news_of, news_from, news_at, late_of, late_from, late_at, touched_at;
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            IF careful THEN
                RAISE;
            END IF;
            careful := true;
        END;
    END LOOP;

    PERFORM keep_certificates();
    IF touched_at IS NOT NULL THEN
        PERFORM note_touched(touched_at);
    END IF;
    IF late_at IS NOT NULL THEN
        PERFORM fold_late(late_of, late_from, late_at);
    END IF;
    IF days_of_late IS NOT NULL THEN
        PERFORM add_to_open_days(days_of_late);
    END IF;
    IF uncounted THEN
        PERFORM count_open_days();
    END IF;
    IF ended_at IS NOT NULL THEN
        PERFORM end_episodes(ended_of, ended_from, ended_at, ended_expiries);
    END IF;
    IF news_at IS NOT NULL THEN
        PERFORM derive_changes(news_of, news_from, news_at);
    END IF;
    IF worse_days IS NOT NULL THEN
        PERFORM announce_days(worse_days);
    END IF;
    IF stored > 0 THEN
        PERFORM pg_notify('sla_monitor', 'checks');
    END IF;
END
$$;

-- As probers of release 0.1 call it.
CREATE OR REPLACE FUNCTION record_checks(OUT stored integer, OUT duplicates integer, OUT parked integer)
    LANGUAGE sql AS
$$
SELECT stored, duplicates, parked FROM record_checks_v2()
$$;
