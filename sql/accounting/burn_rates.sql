-- How fast a service spends its error budget: the share of downtime in the windows of 5 minutes, 1 hour, 6 hours and 3 days
-- until now, or until `known_at` if that is earlier, divided by the share that the target allows. 1 spends the budget exactly in
-- the period. NULL without data, and where the target allows no downtime. The windows are those of the multi-window alerts in the
-- Google SRE workbook.
CREATE OR REPLACE FUNCTION sla_burn_rates(service text, policy uuid, numbered integer, known_at timestamptz)
    RETURNS TABLE (length interval, rate numeric)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 4 AS
$$
WITH windows AS (
    SELECT part, length
    FROM unnest('{5 minutes,1 hour,6 hours,3 days}'::interval[]) WITH ORDINALITY AS windows (length, part)
), states AS (
    SELECT *
    FROM sla_states(array_fill(service, '{4}'), array_fill(policy, '{4}'), array_fill(numbered, '{4}'),
                    ARRAY(SELECT least(present(), known_at) - length FROM windows ORDER BY part),
                    array_fill(least(present(), known_at), '{4}'), known_at)
)
SELECT length,
       (down_seconds + degraded_weight * degraded_seconds) / nullif(down_seconds + degraded_seconds + spans_seconds(up), 0)
           / nullif(1 - target / 100, 0)
FROM windows
LEFT JOIN states USING (part)
CROSS JOIN LATERAL (SELECT spans_seconds(down) AS down_seconds, spans_seconds(degraded) AS degraded_seconds) AS lost
JOIN sla_policy_versions ON policy_id = policy AND version = numbered
$$;
