-- The part of the period to which each policy version applies, for each service, in the order of time.
WITH parts AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY service_id, low) AS part, service_id, policy_id, version, low, high
    FROM sla_parts(%(service_ids)s::text[], %(first_day)s::date, %(last_day)s::date, %(known_at)s::timestamptz)
), states AS MATERIALIZED (
    SELECT states.*
    FROM (
        SELECT array_agg(service_id ORDER BY part) AS service_ids, array_agg(policy_id ORDER BY part) AS policies,
               array_agg(version ORDER BY part) AS versions, array_agg(low ORDER BY part) AS lows, array_agg(high ORDER BY part) AS highs
        FROM parts
    ) AS listed
    CROSS JOIN LATERAL sla_states(listed.service_ids, policies, versions, lows, highs, %(known_at)s) AS states
), hours AS MATERIALIZED (
    -- Services with the same policy have the same hours.
    SELECT policy_id, version, low, high, spans_seconds(sla_service_hours(policy_id, version, low, high)) AS hours
    FROM (SELECT DISTINCT policy_id, version, low, high FROM parts) AS windows
), seconds AS MATERIALIZED (
    SELECT part,
           spans_seconds(up)         AS up,
           spans_seconds(degraded)   AS degraded,
           spans_seconds(down)       AS down,
           spans_seconds(unknown)    AS unknown,
           spans_seconds(maintained) AS maintenance,
           spans_seconds(excluded)   AS excluded,
           spans_seconds(outside)    AS outside_hours
    FROM states
)
SELECT service_id,
       policy_id,
       version,
       low                                                    AS starts_at,
       high                                                   AS ends_at,
       target::float8                                         AS target,
       coalesce(up, 0)::float8                                AS up,
       coalesce(degraded, 0)::float8                          AS degraded,
       coalesce(down, 0)::float8                              AS down,
       coalesce(seconds.unknown, 0)::float8                   AS unknown,
       coalesce(seconds.maintenance, 0)::float8               AS maintenance,
       coalesce(excluded, 0)::float8                          AS excluded,
       coalesce(outside_hours, 0)::float8                     AS outside_hours,
       (planned * (100 - target) * 0.01)::float8              AS budget,
       coalesce(down + degraded_weight * degraded, 0)::float8 AS spent
FROM parts
JOIN hours USING (policy_id, version, low, high)
JOIN sla_policy_versions USING (policy_id, version)
LEFT JOIN seconds USING (part)
CROSS JOIN LATERAL (SELECT hours - coalesce(seconds.maintenance, 0) - coalesce(excluded, 0) AS planned) AS planned
ORDER BY service_id, low
