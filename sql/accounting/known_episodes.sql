-- The episodes as they were known at a moment in the past: `episodes` with the changes since undone. Each row of former_episodes has what
-- was known of a span before one change. Of the changes after the moment, the first one counts.

-- The episodes of the service of each part, cut at its bounds and at `known_at`, since nothing later was known then. Not inlined, so
-- that figures of the present are planned without it.
CREATE OR REPLACE FUNCTION sla_known_episodes(service_ids text[], lows timestamptz[], highs timestamptz[], known_at timestamptz)
    RETURNS TABLE (part bigint, location text, starts_at timestamptz, ends_at timestamptz, state service_state)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 100 AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH parts AS (
        SELECT part, service_id, low, least(high, known_at) AS high
        FROM unnest(service_ids, lows, highs) WITH ORDINALITY AS parts (service_id, low, high, part)
    ), undone AS MATERIALIZED (
        SELECT part, location, state, known_until, id, tstzrange(greatest(starts_at, low), least(ends_at, high)) AS span
        FROM parts
        JOIN former_episodes
          ON former_episodes.service_id = parts.service_id AND known_until > known_at AND starts_at < high AND ends_at > low
    ), former AS (
        SELECT part, location, state,
               tstzmultirange(span) - coalesce(range_agg(span) OVER (PARTITION BY part, location ORDER BY known_until, id
                                                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '{}') AS spans
        FROM undone
    ), changed AS (
        SELECT part, location, range_agg(span) AS spans FROM undone GROUP BY part, location
    ), present AS (
        SELECT parts.part, episodes.location, state,
               tstzmultirange(tstzrange(greatest(starts_at, low), least(ends_at, high))) - coalesce(changed.spans, '{}') AS spans
        FROM parts
        JOIN episodes ON episodes.service_id = parts.service_id AND starts_at < high AND (ends_at > low OR ends_at IS NULL)
        LEFT JOIN changed ON changed.part = parts.part AND changed.location = episodes.location
    )
    SELECT part, location, lower(span), upper(span), state
    FROM (SELECT part, location, state, spans FROM former WHERE state IS NOT NULL
          UNION ALL
          SELECT part, location, state, spans FROM present) AS known
    CROSS JOIN LATERAL unnest(spans) AS span;
END
$$;

-- The time of the first check of a service that was known at a moment. Not before the moment if none was.
CREATE OR REPLACE FUNCTION sla_first_check(service text, known_at timestamptz) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS
$$
BEGIN
    RETURN (SELECT min(greatest(first_episode, unknown_until))
            FROM (SELECT location, min(starts_at) AS first_episode
                  FROM episodes
                  WHERE service_id = service
                  GROUP BY location) AS locations
            LEFT JOIN (SELECT location, max(ends_at) AS unknown_until
                       FROM former_episodes
                       WHERE service_id = service AND known_until > known_at AND state IS NULL
                       GROUP BY location) AS earlier USING (location));
END
$$;
