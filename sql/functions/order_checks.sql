-- The second step of record_incoming_checks: writes the checks of incoming_checks to the temporary table ordered_checks, in the order of
-- service, location and time, each compared with the check before it. Of several rows of one check the first counts.
--
-- Rows of one service and location that are newer than its latest known check are `fresh`: they follow each other and that check. The
-- others may be stored already, and only follow each other. `careful`: no row is fresh.
--
-- `earliest` and `latest` are the times of the batch, `service_ids` its services or NULL (see chosen_services).
CREATE OR REPLACE FUNCTION order_checks(earliest timestamptz, latest timestamptz, service_ids text[], careful boolean) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    -- A check that was scheduled after this time stands for the present, whatever its interval is.
    past CONSTANT timestamptz := present() - check_lifetime(0);
BEGIN
    PERFORM make_room_for_ordered_checks();
    INSERT INTO ordered_checks
        (fresh, is_turn, first_of_run, newest, expired, is_over, scheduled_at, finished_at, day, severity, interval_seconds,
         day_worst, success, attempts, day_down_seconds, day_covered_seconds, known_place, known_at, known_interval, known_day,
         known_worst, service_id, location, status_code, total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, error_type,
         error_message)
    WITH days AS MATERIALIZED (
        SELECT day, starts_at, ends_at FROM local_days(earliest, latest)
    ), pauses AS (
        SELECT service_id, max(paused_at) AS paused_at, max(resumed_at) AS resumed_at
        FROM service_pauses
        WHERE resumed_at >= earliest
        GROUP BY service_id
    ), single_checks AS (
        -- All window functions use this order, so that the batch is sorted once.
        SELECT DISTINCT ON (batch.service_id, batch.location, fresh, days.day, batch.scheduled_at)
               batch.*, batch.severity::severity AS typed_severity, days.day,
               NOT careful AND coalesce(batch.scheduled_at > known.scheduled_at, false) AS fresh,
               -- The check does not stand for the present any more, or its service is paused or was paused since.
               NOT services.enabled
                   OR coalesce(batch.scheduled_at <= paused_at OR batch.scheduled_at < resumed_at, false)
                   OR batch.scheduled_at < past
                      AND batch.scheduled_at + check_lifetime(batch.interval_seconds) + check_duration(timeout_ms, retries) < present()
                   AS is_over,
               known.place AS known_place, known.scheduled_at AS known_at, known.interval_seconds AS known_interval,
               known.severity AS known_severity, coalesce(known.expired, true) AS known_expired,
               known.day AS known_day, known.day_worst AS known_worst,
               known.day_down_seconds AS known_down_seconds, known.day_covered_seconds AS known_covered_seconds
        FROM incoming_checks AS batch
        JOIN chosen_services(service_ids) AS services ON services.id = batch.service_id
        JOIN days ON batch.scheduled_at >= starts_at AND batch.scheduled_at < ends_at
        LEFT JOIN chosen_latest_checks(service_ids) AS known
            ON known.service_id = batch.service_id AND known.location = batch.location
        LEFT JOIN pauses ON pauses.service_id = batch.service_id
        ORDER BY batch.service_id, batch.location, fresh, days.day, batch.scheduled_at, batch.ctid
    )
    SELECT fresh,
           -- A check changes no state if it has the same severity as the check before it, and begins before that one
           -- has ended.
           typed_severity <> lag(typed_severity, 1, known_severity) OVER run
               OR scheduled_at > lag(scheduled_at + interval_seconds * interval '1 second', 1,
                                     known_at + known_interval * interval '1 second') OVER run
               OR known_expired OR is_over,
           lag(scheduled_at) OVER run IS NULL, lead(scheduled_at) OVER run IS NULL, known_expired, is_over, scheduled_at,
           -- finished_at is rounded up to a quarter of a second: most checks of a service then finish at the same one,
           -- while microseconds would be the largest column when compressed. total_ms has the duration.
           date_bin('250 milliseconds', finished_at, scheduled_at) + interval '250 milliseconds',
           day, typed_severity, interval_seconds,
           greatest(max(typed_severity) OVER day_run, CASE WHEN known_day = day THEN known_worst END),
           success, attempts,
           CASE WHEN known_day = day THEN known_down_seconds ELSE 0 END
               + sum(CASE WHEN success THEN 0 ELSE interval_seconds END) OVER day_run,
           CASE WHEN known_day = day THEN known_covered_seconds ELSE 0 END + sum(interval_seconds) OVER day_run,
           known_place, known_at, known_interval, known_day, known_worst, service_id, location, status_code,
           -- Sixteenths of a millisecond: binary fractions compress a third better, and times in a network vary by
           -- more.
           round(total_ms * 16) / 16, round(dns_ms * 16) / 16, round(connect_ms * 16) / 16, round(tls_ms * 16) / 16,
           round(first_byte_ms * 16) / 16, error_type, left(error_message, 500)
    FROM single_checks
    WINDOW run     AS (PARTITION BY service_id, location, fresh ORDER BY day, scheduled_at),
           day_run AS (PARTITION BY service_id, location, fresh, day ORDER BY scheduled_at);
END
$$;

-- Creates the temporary table ordered_checks, or empties it. STORAGE PLAIN: without a TOAST table, which would have to
-- be emptied at each commit, too. A message has at most 500 characters, so that a row fits on a page. Columns of
-- conditions come first: to read a column, PostgreSQL passes all columns before it.
CREATE OR REPLACE FUNCTION make_room_for_ordered_checks() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF to_regclass('pg_temp.ordered_checks') IS NULL THEN
        CREATE TEMP TABLE ordered_checks (
            fresh               boolean     NOT NULL,
            is_turn             boolean     NOT NULL,
            first_of_run        boolean     NOT NULL,
            newest              boolean     NOT NULL,
            expired             boolean     NOT NULL,
            is_over             boolean     NOT NULL,
            scheduled_at        timestamptz NOT NULL,
            finished_at         timestamptz NOT NULL,
            day                 date        NOT NULL,
            severity            severity    NOT NULL,
            interval_seconds    integer     NOT NULL,
            day_worst           severity    NOT NULL,
            success             boolean     NOT NULL,
            attempts            smallint    NOT NULL,
            day_down_seconds    bigint,
            day_covered_seconds bigint,
            known_place         tid,
            known_at            timestamptz,
            known_interval      integer,
            known_day           date,
            known_worst         severity,
            service_id          text STORAGE PLAIN COLLATE "C" NOT NULL,
            location            text STORAGE PLAIN COLLATE "C" NOT NULL,
            status_code         smallint,
            total_ms            real,
            dns_ms              real,
            connect_ms          real,
            tls_ms              real,
            first_byte_ms       real,
            error_type          text STORAGE PLAIN,
            error_message       text STORAGE PLAIN
        ) ON COMMIT DELETE ROWS;
        COMMENT ON COLUMN ordered_checks.fresh IS
            'newer than the latest known check of its service and location; others may be in checks already';
        COMMENT ON COLUMN ordered_checks.first_of_run IS 'the first of its service and location, of the fresh ones or of the others';
        COMMENT ON COLUMN ordered_checks.newest IS 'the last of its service and location, of the fresh ones or of the others';
        COMMENT ON COLUMN ordered_checks.is_turn IS 'it may change the state of its service: another severity, or a gap before it';
        COMMENT ON COLUMN ordered_checks.is_over IS 'it does not stand for the present any more';
        COMMENT ON COLUMN ordered_checks.known_place IS
            'the ctid of the latest known check of its service and location; the other columns known_... and `expired` are of that row';
    END IF;
    DELETE FROM ordered_checks;
END
$$;

-- The latest checks of the services with these ids, or of all services if `ids` is NULL (like chosen_services).
CREATE OR REPLACE FUNCTION chosen_latest_checks(ids text[])
    RETURNS TABLE (
        place tid, service_id text, location text, scheduled_at timestamptz, interval_seconds integer, severity severity,
        expired boolean, day date, day_worst severity, day_down_seconds bigint, day_covered_seconds bigint
    )
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT ctid, latest.service_id, latest.location, latest.scheduled_at, latest.interval_seconds, latest.severity, latest.expired,
           latest.day, latest.day_worst, latest.day_down_seconds, latest.day_covered_seconds
    FROM latest_checks AS latest
    WHERE ids IS NULL
    UNION ALL
    SELECT ctid, latest.service_id, latest.location, latest.scheduled_at, latest.interval_seconds, latest.severity, latest.expired,
           latest.day, latest.day_worst, latest.day_down_seconds, latest.day_covered_seconds
    FROM latest_checks AS latest
    WHERE latest.service_id = ANY (ids);
END;
