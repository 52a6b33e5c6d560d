-- The level of service of services in a period: every figure of docs/accounting.md, in one row for each service. Seconds are
-- exact to the microsecond, percentages are not rounded.

-- The percentiles of response times of parts (a service, from `low` up to `high`) together, by the bins of docs/decisions.md, with
-- the number of checks and of failed ones. `fast`: the checks whose bin stands for at most the objective of the service, in
-- percent of all checks with a response time.
CREATE OR REPLACE FUNCTION sla_checks(service_ids text[], lows timestamptz[], highs timestamptz[], objectives_ms integer[])
    RETURNS TABLE (service_id text, checks bigint, failed_checks bigint, p50_ms numeric, p95_ms numeric, p99_ms numeric,
                   fast_share numeric)
    LANGUAGE sql STABLE AS
$$
WITH figures AS MATERIALIZED (
    SELECT service_id, checks, failed, good, min_ms, max_ms, bins, bin_checks FROM figures_of_parts(service_ids, lows, highs)
), totals AS (
    SELECT service_id, sum(checks)::bigint AS checks, sum(failed)::bigint AS failed_checks, sum(good)::float8 AS good,
           min(min_ms)::float8 AS min_ms, max(max_ms)::float8 AS max_ms
    FROM figures
    GROUP BY service_id
), objectives AS (
    SELECT service_id, max(objective_ms) AS objective_ms
    FROM unnest(service_ids, objectives_ms) AS listed (service_id, objective_ms)
    GROUP BY service_id
), counted AS (
    -- Whole numbers up to 2^53 are exact, and sums of them take a third of the time of numeric ones.
    SELECT service_id, bin, sum(n)::float8 AS n
    FROM (SELECT service_id, unnest(bins) AS bin, unnest(bin_checks) AS n FROM figures) AS counts
    GROUP BY service_id, bin
), ranked AS (
    SELECT service_id, bin, n, sum(n) OVER (PARTITION BY service_id ORDER BY bin ROWS UNBOUNDED PRECEDING) AS upto
    FROM counted
), latencies AS (
    -- The nearest rank: the first bin at which the number of checks up to it reaches the share.
    SELECT service_id,
           min(bin) FILTER (WHERE upto * 100 >= good * 50)                                    AS p50,
           min(bin) FILTER (WHERE upto * 100 >= good * 95)                                    AS p95,
           min(bin) FILTER (WHERE upto * 100 >= good * 99)                                    AS p99,
           sum(n) FILTER (WHERE least(greatest(bin_ms(bin), min_ms), max_ms) <= objective_ms) AS fast
    FROM ranked
    JOIN totals USING (service_id)
    JOIN objectives USING (service_id)
    GROUP BY service_id
)
SELECT service_id, checks, failed_checks,
       round(least(greatest(bin_ms(p50), min_ms), max_ms)::numeric, 4),
       round(least(greatest(bin_ms(p95), min_ms), max_ms)::numeric, 4),
       round(least(greatest(bin_ms(p99), min_ms), max_ms)::numeric, 4),
       100 * coalesce(fast, 0)::numeric / nullif(good, 0)::numeric
FROM totals
LEFT JOIN latencies USING (service_id)
$$;

-- One row for each service to which a policy applies in the days from `first_day` to `last_day`, as sla_parts(). `version`: the
-- latest one in the period, whose terms decide on the verdict, the objective and the credit. `target`: of several versions the
-- mean by planned time, so that it agrees with the budget. Without data `uptime` is NULL, and figures of outages are 0 or NULL.
CREATE OR REPLACE FUNCTION sla_levels(service_ids text[], first_day date, last_day date, known_at timestamptz,
                                      policy uuid DEFAULT NULL, numbered integer DEFAULT NULL)
    RETURNS TABLE (service_id text, policy_id uuid, version integer, target numeric, starts_at timestamptz, ends_at timestamptz,
                   up_seconds numeric, degraded_seconds numeric, down_seconds numeric, unknown_seconds numeric,
                   maintained_seconds numeric, excluded_seconds numeric, outside_seconds numeric,
                   uptime numeric, coverage numeric, verdict text, estimated boolean,
                   outages bigint, longest_seconds numeric, mttr_seconds numeric, mtbf_seconds numeric,
                   checks bigint, failed_checks bigint, checks_uptime numeric,
                   p50_ms numeric, p95_ms numeric, p99_ms numeric,
                   objective_ms integer, objective_share numeric, fast_share numeric, objective_met boolean,
                   planned_seconds numeric, budget_seconds numeric, spent_seconds numeric, left_seconds numeric,
                   projected_end timestamptz, credit numeric)
    LANGUAGE sql STABLE AS
$$
WITH parts AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY service_id, low) AS part, service_id, policy_id, version, low, high
    FROM sla_parts(service_ids, first_day, last_day, known_at, policy, numbered)
), listed AS MATERIALIZED (
    SELECT array_agg(service_id ORDER BY part) AS service_ids, array_agg(policy_id ORDER BY part) AS policies,
           array_agg(version ORDER BY part) AS versions, array_agg(low ORDER BY part) AS lows, array_agg(high ORDER BY part) AS highs
    FROM parts
), states AS MATERIALIZED (
    SELECT states.*
    FROM listed
    CROSS JOIN LATERAL sla_states(listed.service_ids, policies, versions, lows, highs, known_at) AS states
), hours AS MATERIALIZED (
    -- Services with the same policy have the same hours.
    SELECT policy_id, version, low, high, spans_seconds(sla_service_hours(policy_id, version, low, high)) AS hours_seconds
    FROM (SELECT DISTINCT policy_id, version, low, high FROM parts) AS windows
), upcoming AS MATERIALIZED (
    SELECT part, spans_seconds(maintained * sla_service_hours(policy_id, version, low, high)) AS upcoming_seconds
    FROM listed
    CROSS JOIN LATERAL sla_upcoming(listed.service_ids, policies, versions, lows, highs, known_at)
    JOIN parts USING (part)
), seconds AS (
    SELECT part,
           sum(upper(span) - lower(span)) FILTER (WHERE state = 'up')         AS up,
           sum(upper(span) - lower(span)) FILTER (WHERE state = 'degraded')   AS degraded,
           sum(upper(span) - lower(span)) FILTER (WHERE state = 'down')       AS down,
           sum(upper(span) - lower(span)) FILTER (WHERE state = 'unknown')    AS unknown,
           sum(upper(span) - lower(span)) FILTER (WHERE state = 'maintained') AS maintained,
           sum(upper(span) - lower(span)) FILTER (WHERE state = 'excluded')   AS excluded,
           sum(upper(span) - lower(span)) FILTER (WHERE state = 'outside')    AS outside
    FROM states
    CROSS JOIN LATERAL (
        VALUES ('up', up), ('degraded', degraded), ('down', down), ('unknown', unknown), ('maintained', maintained),
               ('excluded', excluded), ('outside', outside)
    ) AS counted (state, spans)
    CROSS JOIN LATERAL unnest(spans) AS span
    GROUP BY part
), counted AS (
    SELECT parts.*, target, degraded_weight,
           coalesce(extract(epoch FROM up), 0)         AS up_seconds,
           coalesce(extract(epoch FROM degraded), 0)   AS degraded_seconds,
           coalesce(extract(epoch FROM down), 0)       AS down_seconds,
           coalesce(extract(epoch FROM seconds.unknown), 0) AS unknown_seconds,
           coalesce(extract(epoch FROM maintained), 0) AS maintained_seconds,
           coalesce(extract(epoch FROM excluded), 0)   AS excluded_seconds,
           coalesce(extract(epoch FROM outside), 0)    AS outside_seconds,
           hours_seconds - coalesce(upcoming_seconds, 0) - coalesce(extract(epoch FROM maintained), 0)
               - coalesce(extract(epoch FROM excluded), 0)                                        AS planned_seconds
    FROM parts
    JOIN hours USING (policy_id, version, low, high)
    JOIN sla_policy_versions USING (policy_id, version)
    LEFT JOIN seconds USING (part)
    LEFT JOIN upcoming USING (part)
), totals AS (
    SELECT service_id, max(part) AS part, min(low) AS starts_at, max(high) AS ends_at,
           sum(up_seconds)                                                   AS up_seconds,
           sum(degraded_seconds)                                             AS degraded_seconds,
           sum(down_seconds)                                                 AS down_seconds,
           sum(unknown_seconds)                                              AS unknown_seconds,
           sum(maintained_seconds)                                           AS maintained_seconds,
           sum(excluded_seconds)                                             AS excluded_seconds,
           sum(outside_seconds)                                              AS outside_seconds,
           sum(up_seconds + degraded_seconds + down_seconds)                 AS known_seconds,
           sum(down_seconds + degraded_weight * degraded_seconds)            AS spent_seconds,
           sum(planned_seconds)                                              AS planned_seconds,
           sum(planned_seconds * (100 - target) * 0.01)                      AS budget_seconds,
           min(target)                                                       AS least_target,
           max(target)                                                       AS greatest_target
    FROM counted
    GROUP BY service_id
), outages AS (
    -- Parts that meet share their outages.
    SELECT service_id,
           count(*)                                                                  AS outages,
           extract(epoch FROM max(upper(span) - lower(span)))                        AS longest_seconds,
           extract(epoch FROM sum(upper(span) - lower(span)) FILTER (WHERE upper(span) < least(present(), known_at)))
               / nullif(count(*) FILTER (WHERE upper(span) < least(present(), known_at)), 0)          AS mttr_seconds
    FROM (SELECT service_id, range_agg(down) AS down FROM states JOIN parts USING (part) GROUP BY service_id) AS merged
    CROSS JOIN LATERAL unnest(down) AS span
    GROUP BY service_id
), estimates AS (
    SELECT DISTINCT service_id
    FROM parts
    JOIN episodes USING (service_id)
    WHERE episodes.estimated AND starts_at < least(high, present(), known_at) AND (ends_at > low OR ends_at IS NULL)
), last_terms AS (
    SELECT totals.*, policy_id, version, target, least_coverage, credits, objective_ms, objective_share
    FROM totals
    JOIN parts USING (service_id, part)
    JOIN sla_policy_versions USING (policy_id, version)
), checked AS MATERIALIZED (
    SELECT checked.*
    FROM listed
    CROSS JOIN LATERAL sla_checks(listed.service_ids, lows, highs,
                                  ARRAY(SELECT objective_ms
                                        FROM parts JOIN last_terms USING (service_id)
                                        ORDER BY parts.part)) AS checked
), levels AS (
    SELECT last_terms.*,
           coalesce(outages, 0)                                                                   AS outages,
           coalesce(longest_seconds, 0)                                                           AS longest_seconds,
           mttr_seconds,
           (up_seconds + degraded_seconds) / outages                                              AS mtbf_seconds,
           100 * (known_seconds - spent_seconds) / nullif(known_seconds, 0)                       AS uptime,
           100 * known_seconds / nullif(known_seconds + unknown_seconds, 0)                       AS coverage,
           budget_seconds - spent_seconds                                                         AS left_seconds,
           known_seconds + unknown_seconds + maintained_seconds + excluded_seconds + outside_seconds AS elapsed_seconds,
           CASE
               WHEN least_target = greatest_target OR planned_seconds = 0 THEN target
               ELSE 100 - 100 * budget_seconds / planned_seconds
           END                                                                                    AS mean_target
    FROM last_terms
    LEFT JOIN outages USING (service_id)
), judged AS (
    SELECT levels.*,
           CASE
               WHEN uptime IS NULL THEN NULL
               WHEN coverage < least_coverage THEN 'insufficient_data'
               WHEN uptime >= mean_target THEN 'met'
               ELSE 'missed'
           END AS verdict,
           -- The rest of the budget, spent as fast as the budget was until now.
           CASE
               WHEN spent_seconds > 0 AND left_seconds > 0
                   THEN left_seconds * known_seconds * elapsed_seconds / (spent_seconds * (known_seconds + unknown_seconds))
           END AS seconds_until_spent
    FROM levels
)
SELECT service_id, policy_id, version, mean_target, starts_at, ends_at,
       up_seconds, degraded_seconds, down_seconds, unknown_seconds, maintained_seconds, excluded_seconds, outside_seconds,
       uptime, coverage, verdict, EXISTS (SELECT FROM estimates WHERE estimates.service_id = judged.service_id),
       outages, longest_seconds, mttr_seconds, mtbf_seconds,
       coalesce(checks, 0), coalesce(failed_checks, 0), 100.0 * (checks - failed_checks) / nullif(checks, 0),
       p50_ms, p95_ms, p99_ms,
       objective_ms, objective_share, CASE WHEN objective_ms IS NOT NULL THEN fast_share END, fast_share >= objective_share,
       planned_seconds, budget_seconds, spent_seconds, left_seconds,
       CASE
           WHEN seconds_until_spent < extract(epoch FROM ends_at - least(present(), known_at))
               THEN least(present(), known_at) + seconds_until_spent * interval '1 second'
       END,
       CASE
           WHEN verdict IN ('met', 'missed') AND credits IS NOT NULL
               THEN coalesce((SELECT max(step.credit)
                              FROM jsonb_to_recordset(credits) AS step (below numeric, credit numeric)
                              WHERE uptime < below), 0)
       END
FROM judged
LEFT JOIN checked USING (service_id)
$$;
