-- The service level of each service in the month, those with the least budget left first.
SELECT service_id,
       coalesce(name, service_id)                                          AS "Service",
       group_name                                                          AS "Group",
       policy_name                                                         AS "Policy",
       coalesce(verdict, 'no_data')                                        AS "Verdict",
       uptime                                                              AS "Uptime",
       target                                                              AS "Target",
       greatest(0, 100 * left_seconds / nullif(budget_seconds, 0))         AS "Budget left",
       left_seconds                                                        AS "Downtime left",
       down_seconds                                                        AS "Downtime",
       outages                                                             AS "Outages",
       mttr_seconds                                                        AS "Time to recovery",
       coverage                                                            AS "Coverage",
       p95_ms                                                              AS "p95",
       objective_ms                                                        AS "Objective",
       fast_share                                                          AS "Within objective",
       credit                                                              AS "Credit"
FROM (SELECT to_date('$month', 'YYYY-MM') AS first_day) AS month
CROSS JOIN LATERAL analytics.sla_v1(first_day, (first_day + interval '1 month' - interval '1 day')::date)
ORDER BY left_seconds / nullif(budget_seconds, 0), 2
