-- The service level in the present month. No row without an SLA policy.
SELECT uptime                                             AS "Uptime",
       target                                             AS "Target",
       100 * left_seconds / nullif(budget_seconds, 0)     AS "Budget left",
       left_seconds                                       AS "Downtime left",
       outages                                            AS "Outages",
       mttr_seconds                                       AS "Time to recovery"
FROM analytics.worker_v1
CROSS JOIN LATERAL (SELECT date_trunc('month', now() AT TIME ZONE time_zone)::date AS first_day) AS month
CROSS JOIN LATERAL analytics.sla_v1(first_day, (first_day + interval '1 month' - interval '1 day')::date)
WHERE service_id = '$service'
