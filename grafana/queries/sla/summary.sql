-- All services together in the month.
SELECT uptime                                         AS "Uptime",
       target                                         AS "Target",
       100 * left_seconds / nullif(budget_seconds, 0) AS "Budget left",
       coverage                                       AS "Coverage",
       outages                                        AS "Outages",
       services                                       AS "Services"
FROM (SELECT to_date('$month', 'YYYY-MM') AS first_day) AS month
CROSS JOIN LATERAL analytics.sla_groups_v1(first_day, (first_day + interval '1 month' - interval '1 day')::date)
WHERE group_name IS NULL
