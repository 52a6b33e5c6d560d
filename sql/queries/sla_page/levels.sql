-- The service levels of the public services in the local days from `first_day` to `last_day`: a row for all systems (`kind` is all),
-- for each group (group) and for each service (service). The level of a service without a policy in these days is NULL; groups
-- without such a service have no row. `agreed` is the period of the latest policy version.
WITH listed AS MATERIALIZED (
    SELECT id, name, group_name FROM services WHERE public
), levels AS MATERIALIZED (
    SELECT levels.*
    FROM (SELECT array_agg(id) AS ids FROM listed) AS all_services
    CROSS JOIN LATERAL sla_levels(ids, %(first_day)s, %(last_day)s, present()) AS levels
)
SELECT CASE WHEN group_name IS NULL THEN 'all' ELSE 'group' END AS kind,
       NULL                                     AS id,
       NULL                                     AS name,
       group_name,
       services,
       method,
       NULL                                     AS agreed,
       NULL                                     AS rolling_days,
       target::float8                           AS target,
       uptime_text(uptime)                      AS uptime,
       coverage::float8                         AS coverage,
       verdict,
       false                                    AS estimated,
       outages,
       NULL::float8                             AS down_seconds,
       budget_seconds::float8                   AS budget_seconds,
       left_seconds::float8                     AS left_seconds
FROM sla_group_levels(%(first_day)s, %(last_day)s, present(), true)
UNION ALL
SELECT 'service', id, listed.name, group_name, 1, NULL, period, rolling_days, levels.target::float8,
       uptime_text(uptime), coverage::float8, verdict, coalesce(estimated, false), outages,
       down_seconds::float8, budget_seconds::float8, left_seconds::float8
FROM listed
LEFT JOIN levels ON service_id = id
LEFT JOIN sla_policy_versions USING (policy_id, version)
ORDER BY group_name NULLS FIRST, name NULLS FIRST, id
