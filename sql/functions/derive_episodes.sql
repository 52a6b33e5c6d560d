-- Episodes of single locations, from the raw checks: kept up for windows of time whose checks have changed. The same checks give
-- the same episodes whatever order they came in, so late and replayed ones are nothing special.
--
-- A check speaks from its scheduled time until the next check, its interval's end or the beginning of a pause, whichever comes
-- first. What no check speaks for is unknown. The last check of a location speaks on until it has expired (see expire_states).

-- No check speaks for longer than this: a day, and what the retries of the slowest check may take.
CREATE OR REPLACE FUNCTION longest_check() RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN interval '25 hours';

-- Windows are given by the first and the last changed check of a service and location; none of one location overlaps another by
-- less than longest_check().
CREATE OR REPLACE FUNCTION derive_episodes(service_ids text[], locations text[], lows timestamptz[], highs timestamptz[]) RETURNS void
    LANGUAGE plpgsql SET plan_cache_mode = auto AS
$$
DECLARE
    -- Known before the plan is run, so that only the chunks or partitions of these times are looked at.
    earliest CONSTANT timestamptz := (SELECT min(low) FROM unnest(lows) AS low) - longest_check();
    latest   CONSTANT timestamptz := (SELECT max(high) FROM unnest(highs) AS high) + longest_check();
BEGIN
    -- Such tables are truncated at each commit of their session, whether they were used or not. PLAIN: without a table for long values
    -- that takes a third of the time. A message has at most 500 characters, so a row fits on a page.
    CREATE TEMP TABLE IF NOT EXISTS pieces (
        service_id    text STORAGE PLAIN COLLATE "C" NOT NULL,
        location      text STORAGE PLAIN COLLATE "C" NOT NULL,
        starts_at     timestamptz      NOT NULL,
        ends_at       timestamptz      NOT NULL,
        state         service_state    NOT NULL,
        error_type    text STORAGE PLAIN,
        error_message text STORAGE PLAIN,
        expires_at    timestamptz,
        estimated     boolean          NOT NULL DEFAULT false,
        -- Of the check that comes after: an episode that is cut goes on with it.
        next_error_type    text STORAGE PLAIN,
        next_error_message text STORAGE PLAIN
    ) ON COMMIT DELETE ROWS;
    DELETE FROM pieces;

    -- What the checks of each window say, from the check before it to the check after it.
    INSERT INTO pieces (service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at, next_error_type,
                        next_error_message)
    WITH windows AS (
        SELECT * FROM unnest(service_ids, locations, lows, highs) AS given (service_id, location, low, high)
    ), rows AS (
        SELECT windows.service_id, windows.location, windows.low, found.*
        FROM windows
        CROSS JOIN LATERAL (
            (SELECT scheduled_at, interval_seconds, severity, error_type, error_message, false AS is_next
             FROM checks
             WHERE checks.service_id = windows.service_id AND checks.location = windows.location
               AND scheduled_at < low AND scheduled_at >= low - longest_check() AND scheduled_at >= earliest
             ORDER BY scheduled_at DESC
             LIMIT 1)
            UNION ALL
            SELECT scheduled_at, interval_seconds, severity, error_type, error_message, false
            FROM checks
            WHERE checks.service_id = windows.service_id AND checks.location = windows.location
              AND scheduled_at BETWEEN low AND high AND scheduled_at BETWEEN earliest AND latest
            UNION ALL
            (SELECT scheduled_at, NULL, NULL, error_type, error_message, true
             FROM checks
             WHERE checks.service_id = windows.service_id AND checks.location = windows.location
               AND scheduled_at > high AND scheduled_at <= high + longest_check() AND scheduled_at <= latest
             ORDER BY scheduled_at
             LIMIT 1)
        ) AS found
    ), spoken AS (
        SELECT rows.*,
               rows.scheduled_at + rows.interval_seconds * interval '1 second'      AS due_at,
               lead(rows.scheduled_at) OVER run                                     AS next_at,
               lead(rows.error_type) OVER run                                       AS next_error_type,
               lead(rows.error_message) OVER run                                    AS next_error_message,
               -- Of a deleted service nothing is known but its checks.
               coalesce(newest.scheduled_at = rows.scheduled_at,
                        lead(rows.scheduled_at) OVER run IS NULL
                            AND NOT EXISTS (SELECT FROM checks AS later
                                            WHERE later.service_id = rows.service_id AND later.location = rows.location
                                              AND later.scheduled_at > rows.scheduled_at
                                              AND later.scheduled_at > earliest)) AS is_newest,
               coalesce(newest.expired, true)                                       AS expired
        FROM rows
        LEFT JOIN latest_checks AS newest ON newest.service_id = rows.service_id AND newest.location = rows.location
        WINDOW run AS (PARTITION BY rows.service_id, rows.location, low ORDER BY rows.scheduled_at)
    ), ended AS (
        SELECT spoken.*,
               -- The newest one goes on, unless it is known to be over.
               least(next_at, paused.at, CASE WHEN is_newest AND NOT expired THEN 'infinity' ELSE due_at END) AS ends_at,
               paused.at AS paused_at
        FROM spoken
        LEFT JOIN LATERAL (
            SELECT min(greatest(paused_at, spoken.scheduled_at)) AS at
            FROM service_pauses
            WHERE service_pauses.service_id = spoken.service_id
              AND paused_at < least(next_at, due_at) AND (resumed_at > spoken.scheduled_at OR resumed_at IS NULL)
        ) AS paused ON true
        WHERE NOT is_next
    )
    SELECT service_id, location, scheduled_at, ends_at,
           CASE severity WHEN 'mo' THEN 'outage' WHEN 'po' THEN 'degraded' ELSE 'operational' END::service_state,
           error_type, error_message, scheduled_at + check_lifetime(interval_seconds), next_error_type, next_error_message
    FROM ended
    WHERE ends_at > scheduled_at
    UNION ALL
    -- What follows is unknown, until the next check, or until whatever is known of later times.
    SELECT service_id, location, ends_at,
           CASE WHEN next_at IS NOT NULL THEN next_at WHEN is_newest THEN 'infinity' ELSE ends_at END,
           'unknown', NULL, NULL,
           CASE WHEN paused_at IS NOT NULL THEN paused_at ELSE scheduled_at + check_lifetime(interval_seconds) END,
           next_error_type, next_error_message
    FROM ended
    WHERE ends_at < CASE WHEN next_at IS NOT NULL THEN next_at WHEN is_newest THEN 'infinity' ELSE ends_at END;

    PERFORM splice_pieces();
END
$$;

-- Puts what is in `pieces` in the place of what the episodes say of the same time: what they say of other times stays, and
-- neighbours of one state become one. The pieces of a location that follow each other without a gap are one patch.
CREATE OR REPLACE FUNCTION splice_pieces() RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    -- The planner takes a temporary table for hundreds of rows, and would read the episodes of all services.
    touched CONSTANT text[] := ARRAY(SELECT DISTINCT service_id FROM pieces);
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS patched (
        service_id    text STORAGE PLAIN COLLATE "C" NOT NULL,
        location      text STORAGE PLAIN COLLATE "C" NOT NULL,
        starts_at     timestamptz      NOT NULL,
        ends_at       timestamptz      NOT NULL,
        state         service_state    NOT NULL,
        error_type    text STORAGE PLAIN,
        error_message text STORAGE PLAIN,
        expires_at    timestamptz,
        estimated     boolean          NOT NULL
    ) ON COMMIT DELETE ROWS;
    DELETE FROM patched;

    WITH patches AS MATERIALIZED (
        SELECT service_id, location, min(starts_at) AS low, max(ends_at) AS high
        FROM (
            SELECT service_id, location, starts_at, ends_at,
                   count(*) FILTER (WHERE apart) OVER (PARTITION BY service_id, location ORDER BY starts_at) AS number
            FROM (
                SELECT service_id, location, starts_at, ends_at,
                       starts_at IS DISTINCT FROM
                           lag(ends_at) OVER (PARTITION BY service_id, location ORDER BY starts_at) AS apart
                FROM pieces
            ) AS followed
        ) AS numbered
        GROUP BY service_id, location, number
    ), removed AS (
        -- Those that a patch overlaps or touches.
        DELETE FROM episodes
        USING patches
        WHERE episodes.service_id = ANY (touched)
          AND episodes.service_id = patches.service_id AND episodes.location = patches.location
          AND episodes.starts_at <= high AND (episodes.ends_at >= low OR episodes.ends_at IS NULL)
        RETURNING episodes.*
    ), former AS (
        SELECT service_id, location, starts_at, coalesce(ends_at, 'infinity') AS ends_at, state, error_type, error_message,
               expires_at, estimated
        FROM removed
    ), bounds AS (
        -- The times at which what was removed is cut: where patches begin and end.
        SELECT former.*, multirange(tstzrange(former.starts_at, former.ends_at)) - patched_times AS remains
        FROM former
        JOIN (
            SELECT service_id, location, range_agg(tstzrange(low, high)) AS patched_times
            FROM patches
            GROUP BY service_id, location
        ) AS patches_of_location USING (service_id, location)
    ), kept AS (
        SELECT bounds.service_id, bounds.location, lower(span) AS starts_at, upper(span) AS ends_at, bounds.state,
               CASE WHEN before.service_id IS NULL THEN bounds.error_type ELSE before.next_error_type END AS error_type,
               CASE WHEN before.service_id IS NULL THEN bounds.error_message ELSE before.next_error_message END AS error_message,
               -- What follows a patch begins with the check after it, or is unknown since the patch's last check.
               coalesce(before.expires_at, bounds.expires_at) AS expires_at, bounds.estimated
        FROM bounds
        CROSS JOIN LATERAL unnest(remains) AS span
        LEFT JOIN pieces AS before
            ON before.service_id = bounds.service_id AND before.location = bounds.location AND before.ends_at = lower(span)
           AND lower(span) > bounds.starts_at
    ), whole AS (
        SELECT service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at, estimated FROM pieces
        UNION ALL
        SELECT * FROM kept
    ), filled AS (
        SELECT * FROM whole
        UNION ALL
        -- Between a patch and what comes after it nothing may be missing.
        SELECT service_id, location, ends_at, following, 'unknown', NULL, NULL, expires_at, estimated
        FROM (
            SELECT service_id, location, ends_at, expires_at, estimated,
                   least(lead(starts_at) OVER (PARTITION BY service_id, location ORDER BY starts_at),
                         (SELECT min(later.starts_at)
                          FROM episodes AS later
                          WHERE later.service_id = whole.service_id AND later.location = whole.location
                            AND later.starts_at >= whole.ends_at)) AS following
            FROM whole
        ) AS followed
        WHERE ends_at < following
    ), runs AS (
        SELECT *, count(*) FILTER (WHERE turned) OVER run AS number
        FROM (
            SELECT *,
                   (state, estimated) IS DISTINCT FROM (lag(state) OVER run, lag(estimated) OVER run)
                       OR starts_at IS DISTINCT FROM lag(ends_at) OVER run AS turned
            FROM filled
            WINDOW run AS (PARTITION BY service_id, location ORDER BY starts_at)
        ) AS turns
        WINDOW run AS (PARTITION BY service_id, location ORDER BY starts_at)
    )
    INSERT INTO patched (service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at, estimated)
    SELECT DISTINCT ON (service_id, location, number)
           service_id, location, starts_at,
           max(ends_at) OVER (PARTITION BY service_id, location, number),
           state, error_type, error_message, expires_at, estimated
    FROM runs
    ORDER BY service_id, location, number, starts_at;

    INSERT INTO episodes (service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at, estimated)
    SELECT service_id, location, starts_at, nullif(ends_at, 'infinity'), state, error_type, error_message,
           CASE WHEN state = 'unknown' THEN expires_at END, estimated
    FROM patched;
END
$$;

-- The last check of these locations speaks no longer than until `ends`: their open episodes end there, and what follows is unknown.
-- Not derived from the raw checks, which the retention may have dropped meanwhile.
CREATE OR REPLACE FUNCTION end_episodes(service_ids text[], locations text[], ends timestamptz[], expiries timestamptz[])
    RETURNS void
    LANGUAGE sql AS
$$
WITH ending AS (
    SELECT * FROM unnest(service_ids, locations, ends, expiries) AS given (service_id, location, at, expires_at)
), never_spoken AS (
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
FROM ended
$$;

-- Makes the episodes of one service anew from its raw checks in a window, whatever is there. Outages and the present state follow.
CREATE OR REPLACE PROCEDURE rebuild_episodes(service text, low timestamptz, high timestamptz)
    LANGUAGE plpgsql AS
$$
DECLARE
    watched_from text[];
BEGIN
    PERFORM lock_recording();
    SELECT array_agg(id) INTO watched_from FROM locations;
    PERFORM derive_episodes(array_fill(service, ARRAY[cardinality(watched_from)]), watched_from,
                            array_fill(greatest(low, oldest_check()), ARRAY[cardinality(watched_from)]),
                            array_fill(high, ARRAY[cardinality(watched_from)]));
    PERFORM derive_service_states(ARRAY[service], ARRAY[low]);
END
$$;

-- Just after the moment from which on all locations of a service have episodes. While an installation of release 0.1 is upgraded,
-- some may reach further back than others: what came before is not theirs alone to say.
CREATE OR REPLACE FUNCTION all_known_from(service text) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT max(first) + interval '1 microsecond'
            FROM (SELECT min(starts_at) AS first FROM episodes WHERE service_id = service GROUP BY location) AS locations);

-- What has changed with single checks: episodes first, then outages and states. Checks of one service and location that are further
-- apart than two days have windows of their own, so that a late one does not make all that came after it to be read again.
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
        -- While an installation of release 0.1 is upgraded, what comes before its episodes is made from the checks later.
        WHERE NOT upgrading OR at >= (SELECT min(starts_at)
                                      FROM episodes
                                      WHERE episodes.service_id = changed.service_id AND episodes.location = changed.location)
           OR NOT EXISTS (SELECT FROM episodes
                          WHERE episodes.service_id = changed.service_id AND episodes.location = changed.location)
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

    -- States change from the check before the first changed one on: it may speak less long than it did.
    SELECT array_agg(service_id), array_agg(CASE WHEN upgrading THEN greatest(low, all_known_from(service_id)) ELSE low END)
    INTO service_list, service_lows
    FROM (SELECT service_id, min(starts_at) AS low FROM pieces GROUP BY service_id) AS touched;
    IF service_list IS NOT NULL THEN
        PERFORM derive_service_states(service_list, service_lows);
    END IF;
END
$$;
