-- How fast services spend their error budgets: the share of downtime in the windows of 5 and 30 minutes, 1 and 6 hours and 3
-- days until now, or until `known_at` if that is earlier, divided by the share that the target allows. 1 spends the budget
-- exactly in the period. NULL without data, and where the target allows no downtime. The windows are those of the multi-window
-- alerts in the Google SRE workbook. Each service is named once, with the policy version that counts for all windows.
CREATE OR REPLACE FUNCTION sla_burn_rates(service_ids text[], policies uuid[], versions integer[], known_at timestamptz)
    RETURNS TABLE (service_id text, length interval, rate numeric)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH states AS MATERIALIZED (
    -- The shorter windows are parts of the longest one: what a moment counts as does not depend on the window.
    SELECT services.service_id, down, degraded, up, degraded_weight, 1 - target / 100 AS allowed
    FROM unnest(service_ids, policies, versions) WITH ORDINALITY AS services (service_id, policy_id, version, part)
    JOIN sla_policy_versions USING (policy_id, version)
    LEFT JOIN sla_states(service_ids, policies, versions,
                         array_fill(least(present(), known_at) - interval '3 days', ARRAY[cardinality(service_ids)]),
                         array_fill(least(present(), known_at), ARRAY[cardinality(service_ids)]), known_at) AS states USING (part)
)
SELECT service_id, length,
       (down_seconds + degraded_weight * degraded_seconds) / nullif(down_seconds + degraded_seconds + up_seconds, 0) / nullif(allowed, 0)
FROM states
CROSS JOIN unnest('{5 minutes,30 minutes,1 hour,6 hours,3 days}'::interval[]) AS length
CROSS JOIN LATERAL (
    SELECT tstzmultirange(tstzrange(least(present(), known_at) - length, least(present(), known_at))) AS "window"
) AS bounds
CROSS JOIN LATERAL (
    SELECT spans_seconds(down * "window")     AS down_seconds,
           spans_seconds(degraded * "window") AS degraded_seconds,
           spans_seconds(up * "window")       AS up_seconds
) AS counted
$$;

-- The burn rates of one service.
CREATE OR REPLACE FUNCTION sla_burn_rates(service text, policy uuid, numbered integer, known_at timestamptz)
    RETURNS TABLE (length interval, rate numeric)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 5 AS
$$
SELECT length, rate FROM sla_burn_rates(ARRAY[service], ARRAY[policy], ARRAY[numbered], known_at)
$$;
