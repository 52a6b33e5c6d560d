-- What each public service is now, and its last 90 local days, today included: one row a service, by group and name.
-- `days` are the statuses of the days that have data, `positions` where they stand among the 90 (0 is the oldest).
--
-- The zone is looked up once: service_days.day would look it up again for each of its rows.
WITH clock AS MATERIALIZED (
    SELECT zone, today - 89 AS first_day, (today - 89)::timestamp AT TIME ZONE zone AS starts_at
    FROM (SELECT reporting_time_zone() AS zone, (now() AT TIME ZONE reporting_time_zone())::date AS today) AS now
), history AS (
    SELECT service_id,
           string_agg(status, ',' ORDER BY starts_at) AS days,
           array_agg((starts_at AT TIME ZONE (SELECT zone FROM clock))::date - (SELECT first_day FROM clock)
                     ORDER BY starts_at)              AS positions,
           sum(down_seconds)                          AS down_seconds,
           sum(covered_seconds)                       AS covered_seconds
    FROM service_days
    WHERE starts_at >= (SELECT starts_at FROM clock)
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
