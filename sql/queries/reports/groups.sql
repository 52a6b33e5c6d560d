-- The figures of each group and, without a name, of all services.
SELECT group_name AS name,
       services,
       method,
       target::float8                                       AS target,
       uptime_text(uptime) AS uptime,
       uptime::float8                                       AS uptime_percent,
       coverage::float8                                     AS coverage,
       verdict,
       budget_seconds::float8                               AS budget,
       spent_seconds::float8                                AS spent,
       left_seconds::float8                                 AS "left",
       outages
FROM sla_group_levels(%(first_day)s::date, %(last_day)s::date, %(known_at)s::timestamptz, %(public_only)s)
ORDER BY group_name NULLS FIRST
