-- The course of one service under its policies: the spans of its states, what caused them, and how the error budget was spent.

-- The parts of a service in a window of time, in order, as arrays for the functions of parts. NULL without a policy.
CREATE OR REPLACE FUNCTION sla_window(service text, low timestamptz, high timestamptz, known_at timestamptz,
                                      OUT service_ids text[], OUT policies uuid[], OUT versions integer[],
                                      OUT lows timestamptz[], OUT highs timestamptz[])
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT array_agg(service ORDER BY span), array_agg(policy_id ORDER BY span), array_agg(version ORDER BY span),
       array_agg(lower(span) ORDER BY span), array_agg(upper(span) ORDER BY span)
FROM sla_applied(ARRAY[service], known_at)
CROSS JOIN LATERAL unnest(during * tstzmultirange(tstzrange(low, high))) AS span
$$;

-- The spans of a service in a window. They do not overlap, and neighbours have different states. There is none before the
-- first check, after now, or while no policy applies.
CREATE OR REPLACE FUNCTION sla_timeline(service text, low timestamptz, high timestamptz, known_at timestamptz)
    RETURNS TABLE (state text, span tstzrange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT state, unnest(range_agg(spans))
FROM sla_window(service, low, high, known_at)
CROSS JOIN LATERAL sla_states(service_ids, policies, versions, lows, highs, known_at) AS states
CROSS JOIN LATERAL (
    VALUES ('up', up), ('degraded', degraded), ('down', down), ('unknown', states.unknown), ('maintenance', maintained),
           ('excluded', excluded), ('outside', outside)
) AS each (state, spans)
GROUP BY state
$$;

-- What can have caused the states of a service in a window: the errors of its locations, the corrections that count, and the
-- maintenance that was announced in time. `state` is the state that the cause explains, `subject` the error type or the id
-- of the correction or maintenance window, `message` that of the error.
CREATE OR REPLACE FUNCTION sla_causes(service text, low timestamptz, high timestamptz, known_at timestamptz)
    RETURNS TABLE (kind text, subject text, message text, state text, span tstzrange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT 'error', error_type, error_message, explained, tstzrange(starts_at, ends_at)
FROM episodes
-- An outage of few locations can be a degraded time of the service.
CROSS JOIN LATERAL unnest(CASE state WHEN 'outage' THEN '{down,degraded}'::text[] ELSE '{degraded}' END) AS explained
WHERE service_id = service AND state IN ('outage', 'degraded') AND error_type IS NOT NULL
  AND starts_at < high AND (ends_at > low OR ends_at IS NULL)
UNION ALL
SELECT 'correction', correction_id::text, NULL, effect, span
FROM sla_window(service, low, high, known_at)
CROSS JOIN LATERAL sla_newest_corrections(service_ids, lows, highs, known_at)
CROSS JOIN LATERAL unnest(spans) AS span
UNION ALL
SELECT 'maintenance', window_id::text, NULL, 'maintenance', span
FROM sla_window(service, low, high, known_at)
CROSS JOIN LATERAL sla_maintenance(service_ids, policies, versions, lows, highs, known_at)
CROSS JOIN LATERAL unnest(spans) AS span
$$;

-- How the error budget of a window was spent until now: the seconds that are left at the start and the end of each span that
-- spends some, and at the bounds of the window. Between two points they change at a constant rate. No row without a policy,
-- or if the window begins after now.
CREATE OR REPLACE FUNCTION sla_burn_down(service text, low timestamptz, high timestamptz, known_at timestamptz)
    RETURNS TABLE (at timestamptz, left_seconds numeric)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH listed AS MATERIALIZED (
    SELECT * FROM sla_window(service, low, high, known_at)
), parts AS (
    SELECT target, degraded_weight, down, degraded,
           spans_seconds(sla_service_hours(policy_id, version, lows[part], highs[part]) - coalesce(upcoming.maintained, '{}'))
               - spans_seconds(states.maintained) - spans_seconds(excluded) AS planned_seconds
    FROM listed
    CROSS JOIN LATERAL unnest(policies, versions) WITH ORDINALITY AS applied (policy_id, version, part)
    JOIN sla_policy_versions USING (policy_id, version)
    LEFT JOIN LATERAL sla_states(service_ids, policies, versions, lows, highs, known_at) AS states USING (part)
    LEFT JOIN LATERAL sla_upcoming(service_ids, policies, versions, lows, highs, known_at) AS upcoming USING (part)
), budget AS (
    SELECT sum(planned_seconds * (100 - target) / 100) AS total FROM parts
), costs AS (
    SELECT lower(span) AS starts_at, upper(span) AS ends_at, weight
    FROM parts
    CROSS JOIN LATERAL (VALUES (down, 1), (degraded, degraded_weight)) AS costs (spans, weight)
    CROSS JOIN LATERAL unnest(spans) AS span
    WHERE weight > 0
), steps AS (
    SELECT ends_at AS at, weight * extract(epoch FROM ends_at - starts_at) AS spent FROM costs
    UNION ALL
    SELECT starts_at, 0 FROM costs
    UNION ALL
    SELECT bound, 0 FROM unnest(ARRAY[low, least(high, present(), known_at)]) AS bound WHERE low < least(present(), known_at)
)
SELECT at, total - sum(sum(spent)) OVER (ORDER BY at)
FROM steps
CROSS JOIN budget
WHERE total IS NOT NULL
GROUP BY at, total
$$;
