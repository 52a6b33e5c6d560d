-- Derives from the timeline the outages that were open at `low` or began later. Earlier ones do not change. The stored outages say
-- whether one was open just before `low`. A pause ends an outage; time without checks neither begins nor ends one. An outage keeps
-- its id when its start or end moves. If outages are merged, the lowest id stays; if one is split, its first part keeps the id.
--
-- The conditions on `service_ids` keep the planner from reading all outages: it assumes hundreds of rows in a temporary
-- table.
CREATE OR REPLACE FUNCTION derive_outages(service_ids text[], lows timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF to_regclass('pg_temp.outage_spans') IS NULL THEN
        CREATE TEMP TABLE outage_spans (
            service_id    text STORAGE PLAIN COLLATE "C" NOT NULL,
            started_at    timestamptz      NOT NULL,
            ended_at      timestamptz,
            error_type    text STORAGE PLAIN,
            error_message text STORAGE PLAIN,
            id            bigint
        ) ON COMMIT DELETE ROWS;
    END IF;
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
    ), states AS (
        -- The state at `low` is the one since just before it, unless the timeline has another one for that moment.
        SELECT DISTINCT ON (service_id, moment) service_id, moment, state, error_type, error_message
        FROM span
        JOIN state_timeline USING (service_id)
        CROSS JOIN LATERAL (SELECT greatest(at, low + interval '1 microsecond') AS moment) AS clipped
        WHERE at >= low
        ORDER BY service_id, moment, at DESC
    ), verdicts AS (
        SELECT service_id, started_at AS at, true AS out, error_type, error_message FROM running
        UNION ALL
        SELECT service_id, moment, state = 'outage', error_type, error_message FROM states WHERE state <> 'unknown'
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

    -- Each stored outage gives its id to the first derived outage that it overlaps.
    UPDATE outage_spans
    SET id = known.id
    FROM (
        SELECT service_id, started_at, min(id) AS id
        FROM (
            SELECT DISTINCT ON (outages.id) outages.id, derived.service_id, derived.started_at
            FROM outage_spans AS derived
            JOIN outages ON outages.service_id = ANY (service_ids) AND outages.service_id = derived.service_id
              AND tstzrange(outages.started_at, outages.ended_at) && tstzrange(derived.started_at, derived.ended_at)
            ORDER BY outages.id, derived.started_at
        ) AS overlapping
        GROUP BY service_id, started_at
    ) AS known
    WHERE outage_spans.service_id = known.service_id AND outage_spans.started_at = known.started_at;

    DELETE FROM outages
    USING unnest(service_ids, lows) AS span (service_id, low)
    WHERE outages.service_id = span.service_id AND low IS NOT NULL
      AND (ended_at >= low OR ended_at IS NULL)
      AND NOT EXISTS (SELECT FROM outage_spans AS derived WHERE derived.id = outages.id);

    -- Closed ones first: at most one outage of a service may be open at any moment.
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
