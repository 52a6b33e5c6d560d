-- Computes the episodes of single locations from the raw checks, for windows of time whose checks have changed. The
-- same checks give the same episodes in whatever order they were recorded, so late and replayed checks need no special
-- case.
--
-- A check stands for the time from its scheduled time until the next check, the end of its interval or the beginning of a pause,
-- whichever comes first. The last check of a location stands until it has expired (see expire_states). Time for which no check stands
-- is unknown.

-- The longest time for which a check stands: a day, and the time that the retries of the slowest check may take.
CREATE OR REPLACE FUNCTION longest_check() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN interval '25 hours';

-- Derives the episodes of these windows, which replace the rows of `episodes` for the same time. A window is given by
-- the first and the last changed check of a service and location; two windows of one location are at least
-- longest_check() apart.
CREATE OR REPLACE FUNCTION derive_episodes(service_ids text[], locations text[], lows timestamptz[], highs timestamptz[]) RETURNS void
    LANGUAGE plpgsql SET plan_cache_mode = auto AS
$$
DECLARE
    -- Constants that are known when the plan is made, so that it has only the chunks or partitions of these times.
    earliest CONSTANT timestamptz := (SELECT min(low) FROM unnest(lows) AS low) - longest_check();
    latest   CONSTANT timestamptz := (SELECT max(high) FROM unnest(highs) AS high) + longest_check();
BEGIN
    PERFORM make_room_for_new_episodes();
    INSERT INTO new_episodes (service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at, next_error_type,
                              next_error_message)
    WITH followed AS (
        SELECT found.*,
               found.scheduled_at + found.interval_seconds * interval '1 second' AS due_at,
               lead(found.scheduled_at) OVER run                                 AS next_at,
               lead(found.error_type) OVER run                                   AS next_error_type,
               lead(found.error_message) OVER run                                AS next_error_message,
               -- The checks of a deleted service have no row in latest_checks.
               coalesce(newest.scheduled_at = found.scheduled_at,
                        lead(found.scheduled_at) OVER run IS NULL
                            AND NOT EXISTS (SELECT FROM checks AS later
                                            WHERE later.service_id = found.service_id AND later.location = found.location
                                              AND later.scheduled_at > found.scheduled_at
                                              AND later.scheduled_at > earliest)) AS is_newest,
               coalesce(newest.expired, true)                                    AS expired
        FROM checks_of_windows(service_ids, locations, lows, highs, earliest, latest) AS found
        LEFT JOIN latest_checks AS newest ON newest.service_id = found.service_id AND newest.location = found.location
        WINDOW run AS (PARTITION BY found.service_id, found.location, low ORDER BY found.scheduled_at)
    ), ended AS (
        SELECT followed.*,
               -- The newest check has no end until it expires.
               least(next_at, paused.at, CASE WHEN is_newest AND NOT expired THEN 'infinity' ELSE due_at END) AS ends_at,
               -- The unknown time after a check ends with the next check. NULL if the next check is not in the window:
               -- then replace_episodes() fills the gap.
               CASE WHEN next_at IS NOT NULL THEN next_at WHEN is_newest THEN 'infinity' END                  AS unknown_until,
               coalesce(paused.at, scheduled_at + check_lifetime(interval_seconds))                           AS expires_at
        FROM followed
        LEFT JOIN LATERAL (
            SELECT min(greatest(paused_at, followed.scheduled_at)) AS at
            FROM service_pauses
            WHERE service_pauses.service_id = followed.service_id
              AND paused_at < least(next_at, due_at) AND (resumed_at > followed.scheduled_at OR resumed_at IS NULL)
        ) AS paused ON true
        WHERE NOT is_next
    )
    SELECT service_id, location, scheduled_at, ends_at,
           CASE severity WHEN 'mo' THEN 'outage' WHEN 'po' THEN 'degraded' ELSE 'operational' END::service_state,
           error_type, error_message, scheduled_at + check_lifetime(interval_seconds), next_error_type, next_error_message
    FROM ended
    WHERE ends_at > scheduled_at
    UNION ALL
    SELECT service_id, location, ends_at, unknown_until, 'unknown', NULL, NULL, expires_at, next_error_type, next_error_message
    FROM ended
    WHERE ends_at < unknown_until;

    PERFORM replace_episodes();
END
$$;

-- The checks of each window, with the one before it and the one after it (`is_next`), if these are at most longest_check() away. Inlined
-- into derive_episodes; `earliest` and `latest` bound the times of all of them.
CREATE OR REPLACE FUNCTION checks_of_windows(
    service_ids text[], locations text[], lows timestamptz[], highs timestamptz[], earliest timestamptz, latest timestamptz
)
    RETURNS TABLE (
        service_id text, location text, low timestamptz, scheduled_at timestamptz, interval_seconds integer, severity severity,
        error_type text, error_message text, is_next boolean
    )
    LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT windows.service_id, windows.location, windows.low, found.scheduled_at, found.interval_seconds, found.severity,
           found.error_type, found.error_message, found.is_next
    FROM unnest(service_ids, locations, lows, highs) AS windows (service_id, location, low, high)
    CROSS JOIN LATERAL (
        (SELECT checks.scheduled_at, checks.interval_seconds, checks.severity, checks.error_type, checks.error_message,
                false AS is_next
         FROM checks
         WHERE checks.service_id = windows.service_id AND checks.location = windows.location
           AND checks.scheduled_at < windows.low AND checks.scheduled_at >= windows.low - longest_check()
           AND checks.scheduled_at >= earliest
         ORDER BY checks.scheduled_at DESC
         LIMIT 1)
        UNION ALL
        SELECT checks.scheduled_at, checks.interval_seconds, checks.severity, checks.error_type, checks.error_message, false
        FROM checks
        WHERE checks.service_id = windows.service_id AND checks.location = windows.location
          AND checks.scheduled_at BETWEEN windows.low AND windows.high AND checks.scheduled_at BETWEEN earliest AND latest
        UNION ALL
        (SELECT checks.scheduled_at, NULL, NULL, checks.error_type, checks.error_message, true
         FROM checks
         WHERE checks.service_id = windows.service_id AND checks.location = windows.location
           AND checks.scheduled_at > windows.high AND checks.scheduled_at <= windows.high + longest_check()
           AND checks.scheduled_at <= latest
         ORDER BY checks.scheduled_at
         LIMIT 1)
    ) AS found;
END;

-- Ends the open episodes of these locations at `ends`; the time after it is unknown. Not derived from the raw checks, since retention may
-- have dropped them.
CREATE OR REPLACE FUNCTION end_episodes(service_ids text[], locations text[], ends timestamptz[], expiries timestamptz[])
    RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    moment CONSTANT timestamptz := present_clock();
BEGIN
    WITH ending AS (
        SELECT service_id, location, at, expires_at
        FROM unnest(service_ids, locations, ends, expiries) AS given (service_id, location, at, expires_at)
    ), changed AS (
        INSERT INTO former_episodes (service_id, location, starts_at, ends_at, state, estimated, known_until)
        SELECT episodes.service_id, episodes.location, greatest(starts_at, at), moment, state, estimated, moment
        FROM ending
        JOIN episodes ON episodes.service_id = ending.service_id AND episodes.location = ending.location
        WHERE ends_at IS NULL AND state <> 'unknown' AND greatest(starts_at, at) < moment AND NOT upgrade_pending()
    ), begun_later AS (
        UPDATE episodes
        SET state = 'unknown', error_type = NULL, error_message = NULL, expires_at = ending.expires_at
        FROM ending
        WHERE episodes.service_id = ending.service_id AND episodes.location = ending.location
          AND ends_at IS NULL AND state <> 'unknown' AND starts_at >= at
    ), ended AS (
        UPDATE episodes
        SET ends_at = at
        FROM ending
        WHERE episodes.service_id = ending.service_id AND episodes.location = ending.location
          AND ends_at IS NULL AND state <> 'unknown' AND starts_at < at
        RETURNING episodes.service_id, episodes.location, ends_at, ending.expires_at
    )
    INSERT INTO episodes (service_id, location, starts_at, state, expires_at)
    SELECT service_id, location, ends_at, 'unknown', expires_at
    FROM ended;
END
$$;

-- Computes the episodes of one service again from its raw checks in a window, with its outages and its state.
CREATE OR REPLACE PROCEDURE rebuild_episodes(service text, low timestamptz, high timestamptz)
    LANGUAGE plpgsql AS
$$
DECLARE
    all_locations text[];
BEGIN
    PERFORM lock_recording();
    SELECT array_agg(id) INTO all_locations FROM locations;
    PERFORM derive_episodes(array_fill(service, ARRAY[cardinality(all_locations)]), all_locations,
                            array_fill(greatest(low, oldest_check()), ARRAY[cardinality(all_locations)]),
                            array_fill(high, ARRAY[cardinality(all_locations)]));
    PERFORM derive_service_states(ARRAY[service], ARRAY[low]);
END
$$;

-- Derives what depends on these checks: episodes first, then outages and states. Checks of one service and location that are more than
-- two days apart have windows of their own, so that for a late check the checks of all days since are not read again.
CREATE OR REPLACE FUNCTION derive_changes(service_ids text[], locations text[], times timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    window_services  text[];
    window_locations text[];
    window_lows      timestamptz[];
    window_highs     timestamptz[];
    service_list     text[];
    service_lows     timestamptz[];
    upgrading        CONSTANT boolean := upgrade_pending();
BEGIN
    WITH changes AS (
        SELECT service_id, location, at,
               at - lag(at) OVER (PARTITION BY service_id, location ORDER BY at) > 2 * longest_check() AS apart
        FROM unnest(service_ids, locations, times) AS changed (service_id, location, at)
        WHERE NOT (upgrading AND left_to_upgrade(service_id, location, at))
    ), windows AS (
        SELECT service_id, location, min(at) AS low, max(at) AS high
        FROM (
            SELECT service_id, location, at,
                   count(*) FILTER (WHERE apart) OVER (PARTITION BY service_id, location ORDER BY at) AS number
            FROM changes
        ) AS numbered
        GROUP BY service_id, location, number
    )
    SELECT array_agg(service_id), array_agg(location), array_agg(low), array_agg(high)
    INTO window_services, window_locations, window_lows, window_highs
    FROM windows;
    IF window_services IS NULL THEN
        RETURN;
    END IF;
    PERFORM derive_episodes(window_services, window_locations, window_lows, window_highs);

    -- States may change from the check before the first changed one on: that check may stand for less time than before.
    SELECT array_agg(service_id), array_agg(CASE WHEN upgrading THEN greatest(low, all_known_from(service_id)) ELSE low END)
    INTO service_list, service_lows
    FROM (SELECT service_id, min(starts_at) AS low FROM new_episodes WHERE NOT kept GROUP BY service_id) AS touched;
    IF service_list IS NOT NULL THEN
        PERFORM derive_service_states(service_list, service_lows);
    END IF;
END
$$;
