-- What each public service is now, and its last 90 local days, today included: one row a service, by group and name.
-- `days` are the statuses of the days that have data, `positions` where they stand among the 90 (0 is the oldest).
WITH period AS (
    SELECT today - 89 AS first_day, (today - 89)::timestamp AT TIME ZONE zone AS starts_at
    FROM (SELECT reporting_time_zone() AS zone, (now() AT TIME ZONE reporting_time_zone())::date AS today) AS clock
), history AS (
    SELECT service_id,
           string_agg(status, ',' ORDER BY day)      AS days,
           array_agg(day - first_day ORDER BY day)   AS positions,
           sum(down_seconds)                         AS down_seconds,
           sum(covered_seconds)                      AS covered_seconds
    FROM period
    JOIN service_days ON service_days.starts_at >= period.starts_at
    GROUP BY service_id
)
SELECT service_status.service_id                       AS id,
       name,
       state                                           AS status,
       checked_at,
       uptime_percent(down_seconds, covered_seconds)   AS uptime,
       coalesce(days, '')                              AS days,
       coalesce(positions, '{}')                       AS positions
FROM service_status
LEFT JOIN history ON history.service_id = service_status.service_id
WHERE public
ORDER BY group_name NULLS FIRST, name, id
