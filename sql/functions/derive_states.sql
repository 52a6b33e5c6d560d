-- Outages and the present state of services, from the episodes of their locations, for the time from `lows` on.
--
-- A location's verdict is the state of its episode. While it is unknown the verdict before it holds until the episode's expires_at:
-- a check or two that are missing change nothing (a pause ends it at once). A service is in outage while more than half of its
-- living locations fail, degraded while any of them fails or is slow, unknown when none is alive.
CREATE OR REPLACE FUNCTION derive_service_states(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    -- Not present(): who waited for the lock began before those whose work it goes on from, and must not turn it back.
    moment  CONSTANT timestamptz := present_clock();
    changed text[];
    states  service_state[];
    began   timestamptz[];
    unclear text[];
BEGIN
    PERFORM derive_timeline(service_ids, lows);
    PERFORM derive_outages(service_ids, lows);

    -- The present is the last moment of the timeline; it began with the first of the equal moments before it. Where it began
    -- before this timeline does, what is known of its beginning stays; if it is another state than the known one, its beginning
    -- is looked for.
    SELECT array_agg(service_id) FILTER (WHERE run > 1), array_agg(present.state) FILTER (WHERE run > 1),
           array_agg(present.since) FILTER (WHERE run > 1), array_agg(service_id) FILTER (WHERE run = 1)
    INTO changed, states, began, unclear
    FROM present_states(moment) AS present
    JOIN service_states USING (service_id)
    WHERE service_states.state <> present.state OR (run > 1 AND service_states.since <> present.since);
    IF unclear IS NOT NULL THEN
        SELECT changed || array_agg(service_id), states || array_agg(found.state), began || array_agg(found.since)
        INTO changed, states, began
        FROM unnest(unclear) AS service_id
        CROSS JOIN LATERAL find_state(service_id, moment) AS found;
    END IF;

    -- A state does not begin before the last maintenance was over. While one runs it is not for checks to say (turn_maintenance). A
    -- paused service stays unknown; since when is for late checks to say too.
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

-- The last state of each timeline, since when, and how many states there were: 1 where it began before the timeline does.
CREATE OR REPLACE FUNCTION present_states(moment timestamptz)
    RETURNS TABLE (service_id text, state service_state, run bigint, since timestamptz)
    LANGUAGE plpgsql STABLE ROWS 10 AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT DISTINCT ON (service_id) service_id, state, run,
           -- A service that is paused is unknown from then on, if not for longer.
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

-- The present state of one service and since when, however long ago that is: the last day's timeline, then longer ones.
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

-- The state of each service from just before `low` on, a row for each moment at which a verdict changes, in the temporary table
-- state_timeline.
CREATE OR REPLACE FUNCTION derive_timeline(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS state_timeline (
        service_id    text STORAGE PLAIN COLLATE "C" NOT NULL,
        at            timestamptz      NOT NULL,
        state         service_state    NOT NULL,
        error_type    text STORAGE PLAIN,
        error_message text STORAGE PLAIN
    ) ON COMMIT DELETE ROWS;
    DELETE FROM state_timeline;

    INSERT INTO state_timeline (service_id, at, state, error_type, error_message)
    WITH span AS (
        SELECT service_id, low - interval '1 microsecond' AS low
        FROM unnest(service_ids, lows) AS span (service_id, low)
        WHERE low IS NOT NULL
    ), known AS (
        -- Since a verdict may outlast its episode, also the one before the first.
        SELECT span.low, episodes.*
        FROM span
        JOIN episodes USING (service_id)
        WHERE ends_at > low OR ends_at IS NULL
        UNION ALL
        SELECT span.low, earlier.*
        FROM span
        CROSS JOIN locations
        CROSS JOIN LATERAL (
            SELECT *
            FROM episodes
            WHERE episodes.service_id = span.service_id AND episodes.location = locations.id AND ends_at <= low
            ORDER BY starts_at DESC
            LIMIT 1
        ) AS earlier
    ), verdicts AS (
        SELECT service_id, location, low, starts_at, state, error_type, error_message,
               least(held_until, (SELECT min(paused_at)
                                  FROM service_pauses
                                  WHERE service_pauses.service_id = held.service_id
                                    AND paused_at >= ends_at AND paused_at < held_until)) AS ends_at
        FROM (
            SELECT known.*,
                   CASE
                       WHEN lead(state) OVER line = 'unknown'
                           THEN least(lead(coalesce(ends_at, 'infinity')) OVER line, greatest(lead(expires_at) OVER line, ends_at))
                       ELSE coalesce(ends_at, 'infinity')
                   END AS held_until
            FROM known
            WINDOW line AS (PARTITION BY service_id, location ORDER BY starts_at)
        ) AS held
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
        SELECT service_id, low, 0, 0, 0 FROM span
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
        -- What failed last, of what is failing at that moment.
        SELECT error_type, error_message
        FROM verdicts
        WHERE states.state = 'outage' AND verdicts.service_id = states.service_id AND verdicts.state = 'outage'
          AND verdicts.starts_at <= states.at AND verdicts.ends_at > states.at
        ORDER BY starts_at DESC, location
        LIMIT 1
    ) AS reason ON true;
END
$$;

-- Outages that were running at `low` or began after it, from the timeline. Those that ended before are not touched. A pause ends
-- one; a gap neither ends one nor begins one. An outage whose bounds have moved keeps its id; of several that are one now, and of the
-- parts of one that are several, the oldest id stays with the first.
--
-- The planner takes a temporary table for hundreds of rows: without the condition on `service_ids` it would read all outages.
CREATE OR REPLACE FUNCTION derive_outages(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS outage_spans (
        service_id    text STORAGE PLAIN COLLATE "C" NOT NULL,
        started_at    timestamptz      NOT NULL,
        ended_at      timestamptz,
        error_type    text STORAGE PLAIN,
        error_message text STORAGE PLAIN,
        id            bigint
    ) ON COMMIT DELETE ROWS;
    DELETE FROM outage_spans;

    INSERT INTO outage_spans (service_id, started_at, ended_at, error_type, error_message)
    WITH span AS (
        SELECT service_id, low - interval '1 microsecond' AS low
        FROM unnest(service_ids, lows) AS span (service_id, low)
        WHERE low IS NOT NULL
    ), running AS (
        SELECT outages.service_id, started_at, outages.error_type, outages.error_message
        FROM span
        JOIN outages USING (service_id)
        WHERE started_at <= low AND (ended_at IS NULL OR ended_at > low)
    ), verdicts AS (
        SELECT service_id, started_at AS at, true AS out, error_type, error_message FROM running
        UNION ALL
        SELECT service_id, at, state = 'outage', error_type, error_message FROM state_timeline WHERE state <> 'unknown'
        UNION ALL
        SELECT service_id, paused_at, false, NULL, NULL FROM span JOIN service_pauses USING (service_id) WHERE paused_at > low
    ), turns AS (
        SELECT *, lag(out, 1, false) OVER (PARTITION BY service_id ORDER BY at, out DESC) AS was_out FROM verdicts
    )
    SELECT service_id, at, ended_at, error_type, error_message
    FROM (
        SELECT service_id, at, out, error_type, error_message,
               lead(at) OVER (PARTITION BY service_id ORDER BY at, out DESC) AS ended_at
        FROM turns
        WHERE out <> was_out
    ) AS spans
    WHERE out AND (ended_at > at OR ended_at IS NULL);

    -- Each known outage belongs to the first of the derived ones that it overlaps.
    UPDATE outage_spans
    SET id = inherited.id
    FROM (
        SELECT service_id, started_at, min(id) AS id
        FROM (
            SELECT DISTINCT ON (outages.id) outages.id, derived.service_id, derived.started_at
            FROM outage_spans AS derived
            JOIN outages ON outages.service_id = ANY (service_ids) AND outages.service_id = derived.service_id
              AND tstzrange(outages.started_at, outages.ended_at) && tstzrange(derived.started_at, derived.ended_at)
            ORDER BY outages.id, derived.started_at
        ) AS heirs
        GROUP BY service_id, started_at
    ) AS inherited
    WHERE outage_spans.service_id = inherited.service_id AND outage_spans.started_at = inherited.started_at;

    DELETE FROM outages
    USING unnest(service_ids, lows) AS span (service_id, low)
    WHERE outages.service_id = span.service_id
      AND (ended_at >= low OR ended_at IS NULL)
      AND NOT EXISTS (SELECT FROM outage_spans AS derived WHERE derived.id = outages.id);

    -- Closing comes before opening: at most one outage of a service is open at any moment.
    UPDATE outages
    SET started_at = derived.started_at, ended_at = derived.ended_at,
        error_type = derived.error_type, error_message = derived.error_message
    FROM outage_spans AS derived
    WHERE outages.service_id = ANY (service_ids) AND derived.id = outages.id AND derived.ended_at IS NOT NULL
      AND (outages.started_at, outages.ended_at, outages.error_type, outages.error_message)
          IS DISTINCT FROM (derived.started_at, derived.ended_at, derived.error_type, derived.error_message);

    UPDATE outages
    SET started_at = derived.started_at, ended_at = derived.ended_at,
        error_type = derived.error_type, error_message = derived.error_message
    FROM outage_spans AS derived
    WHERE outages.service_id = ANY (service_ids) AND derived.id = outages.id AND derived.ended_at IS NULL
      AND (outages.started_at, outages.ended_at, outages.error_type, outages.error_message)
          IS DISTINCT FROM (derived.started_at, derived.ended_at, derived.error_type, derived.error_message);

    INSERT INTO outages (service_id, started_at, ended_at, error_type, error_message)
    SELECT service_id, started_at, ended_at, error_type, error_message
    FROM outage_spans
    WHERE id IS NULL
    ORDER BY started_at, service_id;
END
$$;

-- As a batch of release 0.1 calls it that has waited for the recording lock while the schema was brought up to date.
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
    FROM (SELECT service_id, min(starts_at) AS low FROM pieces GROUP BY service_id) AS touched
    HAVING count(*) > 0;
END
$$;
