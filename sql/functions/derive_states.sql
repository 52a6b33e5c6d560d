-- What the stored checks say about `service_ids` from `lows` on: outages and the present state, derived from the raw rows
-- alone. The same rows give the same answer whatever order they came in, so late and replayed rows are nothing special.
--
-- A location's verdict is its last check, for as long as that check lives (check_lifetime). A service is in outage while more
-- than half of its living locations fail, degraded while any of them fails or is slow, unknown when none is alive.
CREATE OR REPLACE FUNCTION derive_states(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    -- Known before the plan is run, so that only the chunks or partitions from here on are looked at.
    earliest CONSTANT timestamptz := (SELECT min(low) FROM unnest(lows) AS low);
    -- Not now(): who waited for the lock began before those whose work it goes on from, and must not turn it back.
    moment   CONSTANT timestamptz := clock_timestamp();
BEGIN
    CREATE TEMP TABLE IF NOT EXISTS timeline (
        service_id    text COLLATE "C" NOT NULL,
        at            timestamptz      NOT NULL,
        state         service_state    NOT NULL,
        error_type    text,
        error_message text
    ) ON COMMIT DELETE ROWS;
    DELETE FROM timeline;

    INSERT INTO timeline
    WITH span AS (
        SELECT service_id, low FROM unnest(service_ids, lows) AS span (service_id, low)
    ), known AS (
        -- The rows from `low` on, and before them the last one of each location.
        SELECT span.service_id, onward.*
        FROM span
        CROSS JOIN locations
        CROSS JOIN LATERAL (
            SELECT location, scheduled_at, interval_seconds, severity, error_type, error_message
            FROM checks
            WHERE checks.service_id = span.service_id AND checks.location = locations.id AND scheduled_at >= low
              AND scheduled_at >= earliest
        ) AS onward
        UNION ALL
        SELECT span.service_id, earlier.*
        FROM span
        CROSS JOIN locations
        CROSS JOIN LATERAL (
            SELECT location, scheduled_at, interval_seconds, severity, error_type, error_message
            FROM checks
            WHERE checks.service_id = span.service_id AND checks.location = locations.id
              AND scheduled_at < low AND scheduled_at >= low - check_lifetime(86400)
              AND scheduled_at >= earliest - check_lifetime(86400)
            ORDER BY scheduled_at DESC
            LIMIT 1
        ) AS earlier
    ), lives AS (
        SELECT *,
               scheduled_at + check_lifetime(interval_seconds)                                AS dies_at,
               lead(scheduled_at) OVER (PARTITION BY service_id, location ORDER BY scheduled_at) AS replaced_at
        FROM known
    ), steps AS (
        -- Each check begins to speak for its location when it is due, and ends when the next one is or when its life is over.
        SELECT service_id, scheduled_at AS at, 1 AS alive,
               (severity = 'mo')::int AS failing, (severity = 'po')::int AS slow, error_type, error_message
        FROM lives
        UNION ALL
        SELECT service_id, least(replaced_at, dies_at), -1, -(severity = 'mo')::int, -(severity = 'po')::int, NULL, NULL
        FROM lives
        -- Replaced also by a check that is a little ahead of this server's clock.
        WHERE replaced_at IS NOT NULL OR dies_at <= now()
    ), moments AS (
        SELECT service_id, at,
               sum(sum(alive))   OVER timeline AS alive,
               sum(sum(failing)) OVER timeline AS failing,
               sum(sum(slow))    OVER timeline AS slow,
               max(error_type)    AS error_type,
               max(error_message) AS error_message
        FROM steps
        GROUP BY service_id, at
        WINDOW timeline AS (PARTITION BY service_id ORDER BY at)
    )
    SELECT service_id,
           at,
           CASE
               WHEN alive = 0 THEN 'unknown'
               WHEN failing * 2 > alive THEN 'outage'
               WHEN failing + slow > 0 THEN 'degraded'
               ELSE 'operational'
           END::service_state,
           error_type,
           error_message
    FROM moments
    JOIN span USING (service_id)
    WHERE at >= low;

    -- Outages that were running at `low` or began after it are derived anew; those that ended before are not touched.
    CREATE TEMP TABLE IF NOT EXISTS derived_outages (LIKE outages) ON COMMIT DELETE ROWS;
    DELETE FROM derived_outages;

    INSERT INTO derived_outages
    WITH span AS (
        SELECT service_id, low FROM unnest(service_ids, lows) AS span (service_id, low)
    ), running AS (
        SELECT service_id, started_at, outages.error_type, outages.error_message
        FROM span
        JOIN outages USING (service_id)
        WHERE started_at < low AND (ended_at IS NULL OR ended_at >= low)
    ), verdicts AS (
        -- A gap neither ends an outage nor begins one.
        SELECT service_id, started_at AS at, true AS out, error_type, error_message FROM running
        UNION ALL
        SELECT service_id, at, state = 'outage', error_type, error_message FROM timeline WHERE state <> 'unknown'
    ), turns AS (
        SELECT *, lag(out, 1, false) OVER (PARTITION BY service_id ORDER BY at) AS was_out FROM verdicts
    )
    SELECT service_id, at, ended_at, error_type, error_message
    FROM (
        SELECT service_id, at, out, error_type, error_message,
               lead(at) OVER (PARTITION BY service_id ORDER BY at) AS ended_at
        FROM turns
        WHERE out <> was_out
    ) AS episodes
    WHERE out;

    DELETE FROM outages
    USING unnest(service_ids, lows) AS span (service_id, low)
    WHERE outages.service_id = span.service_id
      AND started_at >= low
      AND NOT EXISTS (SELECT FROM derived_outages AS d
                      WHERE d.service_id = outages.service_id AND d.started_at = outages.started_at);

    -- Closing comes before opening: at most one outage of a service is open at any moment.
    UPDATE outages SET ended_at = d.ended_at, error_type = d.error_type, error_message = d.error_message
    FROM derived_outages AS d
    WHERE d.service_id = outages.service_id AND d.started_at = outages.started_at
      AND (outages.ended_at, outages.error_type, outages.error_message)
          IS DISTINCT FROM (d.ended_at, d.error_type, d.error_message);

    INSERT INTO outages
    SELECT * FROM derived_outages
    ON CONFLICT (service_id, started_at) DO NOTHING;

    -- The present is the last moment of the timeline; it began with the first of the equal moments before it, or when the last
    -- maintenance was over. While one runs the state is not for checks to say (see turn_maintenance).
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
    FROM (
        SELECT DISTINCT ON (service_id) service_id, state, run,
               min(at) OVER (PARTITION BY service_id, run) AS since
        FROM (
            SELECT service_id, at, state,
                   count(*) FILTER (WHERE turned) OVER (PARTITION BY service_id ORDER BY at) AS run
            FROM (
                SELECT service_id, at, state,
                       state IS DISTINCT FROM lag(state) OVER (PARTITION BY service_id ORDER BY at) AS turned
                FROM timeline
            ) AS turns
        ) AS runs
        ORDER BY service_id, at DESC
    ) AS present
    JOIN services ON services.id = present.service_id
    WHERE service_states.service_id = present.service_id
      -- Where it began before this timeline does, what is known of its beginning stays.
      AND (service_states.state <> present.state OR (run > 1 AND service_states.since <> present.since))
      AND CASE WHEN service_states.state = 'maintenance' THEN NOT in_maintenance(present.service_id, moment) ELSE true END
      AND services.enabled;
END
$$;
