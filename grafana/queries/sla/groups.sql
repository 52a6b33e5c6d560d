-- The service level of each group in the month.
SELECT group_name                                                  AS "Group",
       services                                                    AS "Services",
       method                                                      AS "Method",
       coalesce(verdict, 'no_data')                                AS "Verdict",
       uptime                                                      AS "Uptime",
       target                                                      AS "Target",
       greatest(0, 100 * left_seconds / nullif(budget_seconds, 0)) AS "Budget left",
       left_seconds                                                AS "Downtime left",
       outages                                                     AS "Outages"
FROM (SELECT to_date('$month', 'YYYY-MM') AS first_day) AS month
CROSS JOIN LATERAL analytics.sla_groups_v1(first_day, (first_day + interval '1 month' - interval '1 day')::date)
WHERE group_name IS NOT NULL
ORDER BY left_seconds / nullif(budget_seconds, 0), group_name
