-- The service levels of groups of public services in the days from `first_day` to `last_day`, as they were known at `known_at`
-- (NULL: now). First all services together.
SELECT group_name,
       services,
       method,
       target::float8         AS target,
       uptime_text(uptime)    AS uptime,
       verdict,
       coverage::float8       AS coverage,
       outages,
       budget_seconds::float8 AS budget,
       spent_seconds::float8  AS spent,
       left_seconds::float8   AS left
FROM sla_group_levels(%(first_day)s, %(last_day)s, coalesce(%(known_at)s::timestamptz, present()), true) AS levels
ORDER BY group_name NULLS FIRST
