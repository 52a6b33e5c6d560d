-- The third step of record_incoming_checks: stores the rows of ordered_checks and keeps latest_checks. Rows that were stored before are
-- removed from ordered_checks, so that later steps see new checks only.
--
-- `ordered`, `fresh_rows` and `renewals` are the numbers of rows of ordered_checks: all, those that are fresh, and those that replace a
-- latest check.
-- Returns whether some figures of the running day have to be counted (see count_open_days). Raises unique_violation where a fresh
-- row is in checks already.
CREATE OR REPLACE FUNCTION store_checks(ordered bigint, fresh_rows bigint, renewals bigint) RETURNS boolean
    LANGUAGE plpgsql AS
$$
DECLARE
    uncounted boolean := false;
BEGIN
    -- Without ON CONFLICT, which takes twice the time.
    INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                        total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
    SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
           total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
    FROM ordered_checks
    WHERE fresh;

    IF renew_latest_checks() < renewals THEN
        -- A program that does not hold the recording lock has changed rows of latest_checks since they were read, and so moved them.
        UPDATE ordered_checks
        SET known_place = latest_checks.ctid, day_down_seconds = NULL, day_covered_seconds = NULL
        FROM latest_checks
        WHERE latest_checks.service_id = ordered_checks.service_id AND latest_checks.location = ordered_checks.location
          AND latest_checks.scheduled_at < ordered_checks.scheduled_at;
        PERFORM renew_latest_checks();
        uncounted := true;
    END IF;
    IF fresh_rows = ordered THEN
        RETURN uncounted;
    END IF;

    INSERT INTO latest_checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, severity,
                               total_ms, error_type, error_message, day, day_worst, expired)
    SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, severity, total_ms,
           error_type, error_message, day, day_worst, is_over
    FROM ordered_checks
    WHERE newest AND known_at IS NULL;

    uncounted := uncounted OR EXISTS (SELECT
                                      FROM ordered_checks
                                      WHERE newest AND NOT fresh AND (known_at IS NULL OR scheduled_at > known_at));
    WITH inserted AS (
        INSERT INTO checks (service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
                            total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message)
        SELECT service_id, location, scheduled_at, finished_at, interval_seconds, status_code, success, severity,
               total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, attempts, error_type, error_message
        FROM ordered_checks
        WHERE NOT fresh
        ON CONFLICT DO NOTHING
        RETURNING service_id, location, scheduled_at
    )
    DELETE FROM ordered_checks
    WHERE NOT fresh
      AND (service_id, location, scheduled_at) NOT IN (SELECT service_id, location, scheduled_at FROM inserted);
    RETURN uncounted;
END
$$;

-- Replaces the rows of latest_checks that are older than the newest checks in ordered_checks. Returns the number of
-- rows. They are found by the ctid that order_checks has read: programs that write to latest_checks hold the recording
-- lock.
CREATE OR REPLACE FUNCTION renew_latest_checks() RETURNS bigint
    LANGUAGE plpgsql AS
$$
DECLARE
    renewed bigint;
BEGIN
    UPDATE latest_checks
    SET scheduled_at = newer.scheduled_at, finished_at = newer.finished_at,
        interval_seconds = newer.interval_seconds, status_code = newer.status_code,
        severity = newer.severity, total_ms = newer.total_ms, error_type = newer.error_type,
        error_message = newer.error_message, day = newer.day, day_worst = newer.day_worst,
        -- The figures of rows that may be stored already are counted afterwards.
        day_down_seconds = CASE WHEN fresh THEN newer.day_down_seconds END,
        day_covered_seconds = CASE WHEN fresh THEN newer.day_covered_seconds END,
        expired = newer.is_over
    FROM ordered_checks AS newer
    WHERE latest_checks.ctid = known_place AND newest AND newer.scheduled_at > known_at;
    GET DIAGNOSTICS renewed = ROW_COUNT;
    RETURN renewed;
END
$$;
