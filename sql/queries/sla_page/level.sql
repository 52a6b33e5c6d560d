-- The level of a service in its current period, by the policy version that applies now. No row without a policy.
SELECT name,
       period,
       rolling_days,
       first_day,
       last_day,
       levels.target::float8                AS target,
       uptime_text(uptime)                  AS uptime,
       coverage::float8                     AS coverage,
       verdict,
       estimated,
       outages,
       down_seconds::float8                 AS down_seconds,
       budget_seconds::float8               AS budget_seconds,
       spent_seconds::float8                AS spent_seconds,
       left_seconds::float8                 AS left_seconds,
       projected_end,
       starts_at,
       ends_at,
       applied.policy_id,
       applied.version
FROM sla_applied(ARRAY[%(service_id)s::text], present()) AS applied
JOIN sla_policy_versions ON sla_policy_versions.policy_id = applied.policy_id AND sla_policy_versions.version = applied.version
CROSS JOIN LATERAL sla_period(applied.policy_id, applied.version, local_date(present(), time_zone)) AS days
CROSS JOIN LATERAL sla_levels(ARRAY[%(service_id)s::text], first_day, last_day, present()) AS levels
WHERE applied.during @> present()
