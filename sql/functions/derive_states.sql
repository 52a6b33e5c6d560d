-- Derives the outages and the present state of services from the episodes of their locations, for the time from `lows`
-- on.
--
-- The verdict of a location is the state of its episode. In an unknown episode the verdict before it holds until
-- expires_at: one or two missing checks change nothing (a pause ends the verdict at once). A service is in outage while
-- more than half of its known locations fail, degraded while any of them fails or is slow, and unknown when none is
-- known.
CREATE OR REPLACE FUNCTION derive_service_states(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    outage_ids  text[]        := service_ids;
    outage_lows timestamptz[] := lows;
BEGIN
    PERFORM derive_timeline(service_ids, lows);
    IF upgrade_pending() THEN
        SELECT settled_ids, settled_from INTO outage_ids, outage_lows FROM settled_lows(service_ids, lows);
    END IF;
    PERFORM derive_outages(outage_ids, outage_lows);
    PERFORM derive_present_states();
END
$$;

-- Changes the present states to those at the end of state_timeline.
CREATE OR REPLACE FUNCTION derive_present_states() RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    -- Not present(), which is the start of this transaction: others may have changed the states while it waited for the
    -- lock.
    moment  CONSTANT timestamptz := present_clock();
    changed text[];
    states  service_state[];
    began   timestamptz[];
    unclear text[];
BEGIN
    -- The present state is the last one of the timeline. It began with the first of the equal states at the end of the
    -- timeline. If it began before the timeline (run = 1), the stored `since` stays; if it also differs from the stored
    -- state, or the stored `since` is in the timeline (a late check has closed a gap), find_state() searches its beginning.
    SELECT array_agg(service_id) FILTER (WHERE run > 1), array_agg(present.state) FILTER (WHERE run > 1),
           array_agg(present.since) FILTER (WHERE run > 1), array_agg(service_id) FILTER (WHERE run = 1)
    INTO changed, states, began, unclear
    FROM present_states(moment) AS present
    JOIN service_states USING (service_id)
    WHERE service_states.state <> present.state
       OR CASE WHEN run > 1 THEN service_states.since <> present.since ELSE service_states.since > present.since END;
    IF unclear IS NOT NULL THEN
        SELECT changed || array_agg(service_id), states || array_agg(found.state), began || array_agg(found.since)
        INTO changed, states, began
        FROM unnest(unclear) AS service_id
        CROSS JOIN LATERAL find_state(service_id, moment) AS found;
    END IF;

    -- A state does not begin before the end of the last maintenance, and checks do not change it during maintenance
    -- (turn_maintenance). A paused service stays unknown; late checks may change its `since`.
    UPDATE service_states
    SET state = present.state,
        since = greatest(present.since, maintained_until, CASE
            WHEN service_states.state = 'maintenance'
                THEN maintenance_ended(present.service_id, service_states.since, moment)
        END),
        maintained_until = CASE
            WHEN service_states.state = 'maintenance'
                THEN maintenance_ended(present.service_id, service_states.since, moment)
            ELSE maintained_until
        END
    FROM unnest(changed, states, began) AS present (service_id, state, since)
    JOIN services ON services.id = present.service_id
    WHERE service_states.service_id = present.service_id
      AND (service_states.state <> present.state OR service_states.since <> greatest(present.since, maintained_until))
      AND CASE WHEN service_states.state = 'maintenance' THEN NOT in_maintenance(present.service_id, moment) ELSE true END
      AND (services.enabled OR (present.state = 'unknown' AND service_states.state = 'unknown'));
END
$$;

-- For each timeline: its last state, when that state began (`since`), and the number of states in it (`run`). With run
-- = 1 the state began before the timeline.
CREATE OR REPLACE FUNCTION present_states(moment timestamptz)
    RETURNS TABLE (service_id text, state service_state, run bigint, since timestamptz)
    LANGUAGE plpgsql STABLE ROWS 10 AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (service_id) service_id, state, run,
           -- A paused service is unknown at least since its pause.
           least(first_value(at) OVER (PARTITION BY service_id, run ORDER BY at),
                 (SELECT paused_at FROM service_pauses WHERE service_pauses.service_id = runs.service_id AND resumed_at IS NULL))
    FROM (
        SELECT service_id, at, state, count(*) FILTER (WHERE turned) OVER (PARTITION BY service_id ORDER BY at) AS run
        FROM (
            SELECT service_id, at, state, state IS DISTINCT FROM lag(state) OVER (PARTITION BY service_id ORDER BY at) AS turned
            FROM state_timeline
            WHERE at <= moment + interval '5 minutes'
        ) AS turns
    ) AS runs
    ORDER BY service_id, at DESC;
END
$$;

-- The present state of one service and when it began. Derives the timeline of the last day, then longer ones, until one
-- of them contains the beginning.
CREATE OR REPLACE FUNCTION find_state(service text, moment timestamptz, OUT state service_state, OUT since timestamptz)
    LANGUAGE plpgsql AS
$$
DECLARE
    first CONSTANT timestamptz := (SELECT min(starts_at) FROM episodes WHERE service_id = service);
    low   timestamptz;
    runs  bigint;
BEGIN
    FOREACH low IN ARRAY ARRAY[moment - interval '1 day', moment - interval '30 days', first] LOOP
        PERFORM derive_timeline(ARRAY[service], ARRAY[greatest(low, first)]);
        SELECT present.state, present.since, present.run INTO state, since, runs FROM present_states(moment) AS present;
        EXIT WHEN runs > 1;
    END LOOP;
END
$$;

-- Writes the state of each service from just before `low` on to the temporary table state_timeline: one row for each
-- moment at which a verdict changes.
CREATE OR REPLACE FUNCTION derive_timeline(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF to_regclass('pg_temp.state_timeline') IS NULL THEN
        CREATE TEMP TABLE state_timeline (
            service_id    text STORAGE PLAIN COLLATE "C" NOT NULL,
            at            timestamptz      NOT NULL,
            state         service_state    NOT NULL,
            error_type    text STORAGE PLAIN,
            error_message text STORAGE PLAIN
        ) ON COMMIT DELETE ROWS;
    END IF;
    DELETE FROM state_timeline;

    INSERT INTO state_timeline (service_id, at, state, error_type, error_message)
    WITH verdicts AS (
        SELECT service_id, low, location, starts_at, ends_at, state, error_type, error_message
        FROM verdicts_since(service_ids, lows)
    ), steps AS (
        SELECT service_id, greatest(starts_at, low) AS at, 1 AS alive, (state = 'outage')::int AS failing,
               (state = 'degraded')::int AS slow
        FROM verdicts
        WHERE state <> 'unknown' AND ends_at > low
        UNION ALL
        SELECT service_id, ends_at, -1, -(state = 'outage')::int, -(state = 'degraded')::int
        FROM verdicts
        WHERE state <> 'unknown' AND ends_at > low AND isfinite(ends_at)
        UNION ALL
        SELECT service_id, low - interval '1 microsecond', 0, 0, 0
        FROM unnest(service_ids, lows) AS span (service_id, low)
        WHERE low IS NOT NULL
    ), moments AS (
        SELECT service_id, at,
               sum(sum(alive))   OVER line AS alive,
               sum(sum(failing)) OVER line AS failing,
               sum(sum(slow))    OVER line AS slow
        FROM steps
        GROUP BY service_id, at
        WINDOW line AS (PARTITION BY service_id ORDER BY at)
    ), states AS (
        SELECT service_id,
               at,
               CASE
                   WHEN alive = 0 THEN 'unknown'
                   WHEN failing * 2 > alive THEN 'outage'
                   WHEN failing + slow > 0 THEN 'degraded'
                   ELSE 'operational'
               END::service_state AS state
        FROM moments
    )
    SELECT states.service_id, states.at, states.state, reason.error_type, reason.error_message
    FROM states
    LEFT JOIN LATERAL (
        -- The error of the location that failed last, of those that fail at that moment.
        SELECT error_type, error_message
        FROM verdicts
        WHERE states.state = 'outage' AND verdicts.service_id = states.service_id AND verdicts.state = 'outage'
          AND verdicts.starts_at <= states.at AND verdicts.ends_at > states.at
        ORDER BY starts_at DESC, location
        LIMIT 1
    ) AS reason ON true;
END
$$;

-- The verdicts of all locations on these services that hold just before `low` or later, with the time for which they
-- hold. Inlined into derive_timeline. A verdict is an episode, extended into an unknown episode after it up to the
-- expires_at of that one.
CREATE OR REPLACE FUNCTION verdicts_since(service_ids text[], lows timestamptz[])
    RETURNS TABLE (
        service_id text, low timestamptz, location text, starts_at timestamptz, ends_at timestamptz, state service_state,
        error_type text, error_message text
    )
    LANGUAGE sql STABLE
BEGIN ATOMIC
    WITH span AS (
        SELECT given.service_id, given.low - interval '1 microsecond' AS low
        FROM unnest(service_ids, lows) AS given (service_id, low)
        WHERE given.low IS NOT NULL
    ), known AS (
        SELECT span.low, episodes.service_id, episodes.location, episodes.starts_at, episodes.ends_at, episodes.state,
               episodes.error_type, episodes.error_message, episodes.expires_at
        FROM span
        JOIN episodes ON episodes.service_id = span.service_id AND (episodes.ends_at > span.low OR episodes.ends_at IS NULL)
        UNION ALL
        -- A verdict may outlast its episode, so also the episode before the first one.
        SELECT span.low, earlier.service_id, earlier.location, earlier.starts_at, earlier.ends_at, earlier.state,
               earlier.error_type, earlier.error_message, earlier.expires_at
        FROM span
        CROSS JOIN locations
        CROSS JOIN LATERAL (
            SELECT service_id, location, starts_at, ends_at, state, error_type, error_message, expires_at
            FROM episodes
            WHERE episodes.service_id = span.service_id AND episodes.location = locations.id AND episodes.ends_at <= span.low
            ORDER BY episodes.starts_at DESC
            LIMIT 1
        ) AS earlier
    ), held AS (
        SELECT known.*,
               CASE
                   WHEN lead(known.state) OVER line = 'unknown'
                       THEN least(lead(coalesce(known.ends_at, 'infinity')) OVER line,
                                  greatest(lead(known.expires_at) OVER line, known.ends_at))
                   ELSE coalesce(known.ends_at, 'infinity')
               END AS held_until
        FROM known
        WINDOW line AS (PARTITION BY known.service_id, known.location ORDER BY known.starts_at)
    )
    SELECT held.service_id, held.low, held.location, held.starts_at,
           -- A pause in the unknown time ends the verdict at once.
           least(held.held_until, (SELECT min(service_pauses.paused_at)
                                   FROM service_pauses
                                   WHERE service_pauses.service_id = held.service_id
                                     AND service_pauses.paused_at >= held.ends_at AND service_pauses.paused_at < held.held_until)),
           held.state, held.error_type, held.error_message
    FROM held;
END;

-- Called by a batch of release 0.1 that has waited for the recording lock while the schema was migrated.
CREATE OR REPLACE FUNCTION derive_states(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM derive_episodes(array_agg(service_id), array_agg(location), array_agg(first_low), array_agg('infinity'::timestamptz))
    FROM (
        SELECT service_id, locations.id AS location,
               greatest(low, (SELECT min(starts_at)
                              FROM episodes
                              WHERE episodes.service_id = span.service_id AND episodes.location = locations.id)) AS first_low
        FROM unnest(service_ids, lows) AS span (service_id, low)
        CROSS JOIN locations
    ) AS windows;
    PERFORM derive_service_states(array_agg(service_id), array_agg(greatest(low, all_known_from(service_id))))
    FROM (SELECT service_id, min(starts_at) AS low FROM new_episodes WHERE NOT kept GROUP BY service_id) AS touched
    HAVING count(*) > 0;
END
$$;
