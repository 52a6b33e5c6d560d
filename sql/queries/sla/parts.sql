-- The parts of a service in the days from `first_day` to `last_day`, a row for each policy version that applies in them, as
-- they were known at `known_at` (NULL: now).
SELECT figures.policy_id,
       figures.version,
       scope,
       name,
       figures.target::float8                  AS target,
       low,
       high,
       coalesce(up_seconds, 0)::float8         AS up,
       coalesce(degraded_seconds, 0)::float8   AS degraded,
       coalesce(down_seconds, 0)::float8       AS down,
       coalesce(unknown_seconds, 0)::float8    AS unknown,
       coalesce(maintained_seconds, 0)::float8 AS maintenance,
       coalesce(excluded_seconds, 0)::float8   AS excluded,
       coalesce(outside_seconds, 0)::float8    AS outside_hours,
       coalesce(spent_seconds, 0)::float8      AS spent,
       budget_seconds::float8                  AS budget
FROM sla_figures(ARRAY[%(service_id)s::text], %(first_day)s, %(last_day)s, coalesce(%(known_at)s::timestamptz, present())) AS figures
JOIN sla_policy_versions USING (policy_id, version)
JOIN sla_policies ON sla_policies.id = figures.policy_id
ORDER BY low
