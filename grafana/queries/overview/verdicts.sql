-- The number of services by the verdict of their SLA policy, for the present month.
SELECT count(*) FILTER (WHERE verdict = 'met')                                  AS "Met",
       count(*) FILTER (WHERE verdict = 'missed')                               AS "Missed",
       count(*) FILTER (WHERE coalesce(verdict, 'insufficient_data') = 'insufficient_data') AS "No verdict",
       count(*) FILTER (WHERE projected_end IS NOT NULL AND left_seconds > 0)   AS "Budget ends early"
FROM analytics.worker_v1
CROSS JOIN LATERAL (SELECT date_trunc('month', now() AT TIME ZONE time_zone)::date AS first_day) AS month
CROSS JOIN LATERAL analytics.sla_v1(first_day, (first_day + interval '1 month' - interval '1 day')::date)
