-- The level of service of each group in a period, and of all services together (`group_name` NULL). A service belongs to the
-- last group that it had in the period. Services to which no policy applies do not count. The policy of the group, else the one
-- for everything, decides how: worst (also without a policy) takes all figures of the service with the lowest uptime; mean takes
-- the means by time. `outages`: those of all services of the group. `public_only`: without private services.
CREATE OR REPLACE FUNCTION sla_group_levels(first_day date, last_day date, known_at timestamptz, public_only boolean)
    RETURNS TABLE (group_name text, services bigint, method text, target numeric, uptime numeric, coverage numeric, verdict text,
                   budget_seconds numeric, spent_seconds numeric, left_seconds numeric, outages bigint)
    LANGUAGE sql STABLE AS
$$
WITH listed AS (
    -- Also deleted services: their time in the period stays in the figures.
    SELECT DISTINCT ON (service_id) service_id, public FROM service_memberships ORDER BY service_id, valid DESC
), levels AS MATERIALIZED (
    SELECT levels.*, up_seconds + degraded_seconds + down_seconds AS known_seconds
    FROM sla_levels(ARRAY(SELECT service_id FROM listed WHERE public OR NOT public_only), first_day, last_day, known_at) AS levels
), members AS (
    SELECT DISTINCT ON (levels.service_id) service_memberships.group_name, levels.*
    FROM levels
    JOIN service_memberships ON service_memberships.service_id = levels.service_id AND valid && tstzrange(starts_at, ends_at)
    ORDER BY levels.service_id, valid DESC
), sets AS (
    SELECT true AS is_group, * FROM members WHERE group_name IS NOT NULL
    UNION ALL
    SELECT false, NULL, * FROM levels
), terms AS (
    SELECT scope, subject, during, group_method, least_coverage
    FROM sla_versions(known_at) AS versions
    JOIN sla_policy_versions USING (policy_id, version)
    WHERE scope IN ('group', 'everything') AND NOT versions.ended
      AND during && tstzrange(local_day_start(first_day, time_zone), local_day_start(last_day + 1, time_zone))
), decided AS (
    SELECT is_group, group_name, coalesce(group_method, 'worst') AS method, coalesce(least_coverage, 0) AS least_coverage
    FROM (SELECT DISTINCT is_group, group_name FROM sets) AS named
    LEFT JOIN LATERAL (
        SELECT group_method, least_coverage
        FROM terms
        WHERE scope = 'everything' OR subject = group_name
        ORDER BY scope = 'group' DESC, lower(during) DESC
        LIMIT 1
    ) AS terms ON true
), worst AS (
    SELECT DISTINCT ON (is_group, group_name)
           is_group, group_name, target, uptime, coverage, verdict, budget_seconds, spent_seconds, left_seconds
    FROM sets
    ORDER BY is_group, group_name, uptime NULLS LAST, left_seconds, service_id
), means AS (
    SELECT is_group, group_name,
           count(*)                                                                             AS services,
           sum(outages)::bigint                                                                 AS outages,
           CASE
               WHEN min(target) = max(target) OR sum(planned_seconds) = 0 THEN max(target)
               ELSE 100 - 100 * sum(budget_seconds) / sum(planned_seconds)
           END                                                                                  AS target,
           100 * (sum(known_seconds) - sum(spent_seconds)) / nullif(sum(known_seconds), 0)      AS uptime,
           100 * sum(known_seconds) / nullif(sum(known_seconds) + sum(unknown_seconds), 0)      AS coverage,
           avg(budget_seconds)                                                                  AS budget_seconds,
           avg(spent_seconds)                                                                   AS spent_seconds
    FROM sets
    GROUP BY is_group, group_name
), figures AS (
    SELECT is_group, group_name, 'worst' AS method, target, uptime, coverage, verdict, budget_seconds, spent_seconds, left_seconds
    FROM worst
    UNION ALL
    SELECT means.is_group, means.group_name, 'mean', means.target, means.uptime, means.coverage,
           CASE
               WHEN means.uptime IS NULL THEN NULL
               WHEN means.coverage < least_coverage THEN 'insufficient_data'
               WHEN means.uptime >= means.target THEN 'met'
               ELSE 'missed'
           END,
           means.budget_seconds, means.spent_seconds, means.budget_seconds - means.spent_seconds
    FROM means
    JOIN decided ON decided.is_group = means.is_group AND decided.group_name IS NOT DISTINCT FROM means.group_name
)
SELECT decided.group_name, services, decided.method, figures.target, figures.uptime, figures.coverage, figures.verdict,
       figures.budget_seconds, figures.spent_seconds, figures.left_seconds, outages
FROM decided
JOIN means ON means.is_group = decided.is_group AND means.group_name IS NOT DISTINCT FROM decided.group_name
JOIN figures ON figures.method = decided.method AND figures.is_group = decided.is_group
            AND figures.group_name IS NOT DISTINCT FROM decided.group_name
$$;
