-- Figures of service level agreements. Seconds are exact to the microsecond; nothing is rounded here.

-- The days of the period of a policy version that contains a local day, first and last day included. Of a rolling period it
-- is the last one.
CREATE OR REPLACE FUNCTION sla_period(policy uuid, numbered integer, day date, OUT first_day date, OUT last_day date)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT CASE WHEN period = 'rolling' THEN day - rolling_days + 1 ELSE start::date END,
       CASE WHEN period = 'rolling' THEN day ELSE (start + length)::date - 1 END
FROM sla_policy_versions
CROSS JOIN LATERAL (
    SELECT date_trunc(nullif(period, 'rolling'), day::timestamp) AS start,
           CASE period WHEN 'month' THEN interval '1 month' WHEN 'quarter' THEN interval '3 months' ELSE interval '1 year' END AS length
) AS calendar
WHERE policy_id = policy AND version = numbered
$$;

-- The parts of services in the days from `first_day` to `last_day`, both included, each in the time zone of its policy. A
-- service has a part for each policy version that applies in these days; without a policy it has none. With `policy` and
-- `numbered`, that version is used for the whole time instead.
CREATE OR REPLACE FUNCTION sla_parts(service_ids text[], first_day date, last_day date, known_at timestamptz,
                                     policy uuid DEFAULT NULL, numbered integer DEFAULT NULL)
    RETURNS TABLE (service_id text, policy_id uuid, version integer, low timestamptz, high timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT applied.service_id, applied.policy_id, applied.version, lower(span), upper(span)
FROM (
    SELECT service_id, policy_id, version, during FROM sla_applied(service_ids, known_at) WHERE policy IS NULL
    UNION ALL
    SELECT service_id, policy, numbered, '{(,)}'::tstzmultirange FROM unnest(service_ids) AS service_id WHERE policy IS NOT NULL
) AS applied
JOIN sla_policy_versions USING (policy_id, version)
CROSS JOIN LATERAL unnest(applied.during * tstzmultirange(tstzrange(local_day_start(first_day, time_zone),
                                                                    local_day_start(last_day + 1, time_zone)))) AS span
$$;

-- The figures of each part in seconds: what its time counts as until now, and what of the whole part is planned to count.
-- `spent_seconds` is the downtime with the weighted degraded time. Outages are those that count, cut at the bounds.
CREATE OR REPLACE FUNCTION sla_figures(service_ids text[], first_day date, last_day date, known_at timestamptz,
                                       policy uuid DEFAULT NULL, numbered integer DEFAULT NULL)
    RETURNS TABLE (service_id text, policy_id uuid, version integer, low timestamptz, high timestamptz, target numeric,
                   up_seconds numeric, degraded_seconds numeric, down_seconds numeric, unknown_seconds numeric,
                   maintained_seconds numeric, excluded_seconds numeric, outside_seconds numeric,
                   spent_seconds numeric, planned_seconds numeric, budget_seconds numeric, outages bigint, longest_seconds numeric)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH parts AS (
    SELECT row_number() OVER (ORDER BY service_id, low) AS part, service_id, policy_id, version, low, high
    FROM sla_parts(service_ids, first_day, last_day, known_at, policy, numbered)
), listed AS (
    SELECT array_agg(service_id ORDER BY part) AS service_ids, array_agg(policy_id ORDER BY part) AS policies,
           array_agg(version ORDER BY part) AS versions, array_agg(low ORDER BY part) AS lows, array_agg(high ORDER BY part) AS highs
    FROM parts
), states AS (
    SELECT states.*
    FROM listed
    CROSS JOIN LATERAL sla_states(listed.service_ids, policies, versions, lows, highs, known_at) AS states
), upcoming AS (
    SELECT upcoming.part, upcoming.maintained AS planned_maintenance
    FROM listed
    CROSS JOIN LATERAL sla_upcoming(listed.service_ids, policies, versions, lows, highs, known_at) AS upcoming
)
SELECT service_id, policy_id, version, low, high, target,
       spans_seconds(up), spans_seconds(degraded), down_seconds, spans_seconds(states.unknown),
       maintained_seconds, excluded_seconds, spans_seconds(outside),
       down_seconds + degraded_weight * spans_seconds(degraded),
       planned_seconds,
       planned_seconds * (100 - target) / 100,
       (SELECT count(*) FROM unnest(down)),
       (SELECT max(extract(epoch FROM upper(span) - lower(span))) FROM unnest(down) AS span)
FROM parts
JOIN sla_policy_versions USING (policy_id, version)
LEFT JOIN states USING (part)
LEFT JOIN upcoming USING (part)
CROSS JOIN LATERAL (
    SELECT spans_seconds(down)       AS down_seconds,
           spans_seconds(maintained) AS maintained_seconds,
           spans_seconds(excluded)   AS excluded_seconds
) AS lost
CROSS JOIN LATERAL (
    SELECT spans_seconds(sla_service_hours(policy_id, version, low, high) - coalesce(planned_maintenance, '{}'))
               - maintained_seconds - excluded_seconds AS planned_seconds
) AS planned
$$;
