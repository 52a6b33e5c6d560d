-- The present state of each public service and its last 90 local days, today included: one row per service, by group
-- and name. The days are three strings of 90 binary digits, of which the last one is `today`: `known` (the day has
-- data), `degraded` (checks were degraded or failed) and `failed` (checks failed). The days before today are stored
-- (day_strips).
WITH clock AS MATERIALIZED (
    SELECT today, local_day_start(today, zone) AS starts_at, local_day_start(today + 1, zone) AS ends_at
    FROM (SELECT reporting_time_zone() AS zone, local_date(present(), reporting_time_zone()) AS today) AS setting
), closed AS (
    SELECT strips.*
    FROM clock
    CROSS JOIN closed_strips(today) AS strips
), running AS (
    SELECT figures.*
    FROM clock
    CROSS JOIN figures_of_day(starts_at, ends_at) AS figures
), history AS (
    SELECT service_id,
           coalesce(known, 0::bit(90)) | (running.worst IS NOT NULL)::int::bit(90)                 AS known,
           coalesce(degraded, 0::bit(90)) | coalesce(running.worst >= 'po', false)::int::bit(90)   AS degraded,
           coalesce(failed, 0::bit(90)) | coalesce(running.worst = 'mo', false)::int::bit(90)      AS failed,
           coalesce(closed.down_seconds, 0) + coalesce(running.down_seconds, 0)                    AS down_seconds,
           coalesce(closed.covered_seconds, 0) + coalesce(running.covered_seconds, 0)              AS covered_seconds
    FROM closed
    FULL JOIN running USING (service_id)
)
SELECT service_status.service_id                     AS id,
       name,
       group_name,
       state                                         AS status,
       checked_at,
       uptime_percent(down_seconds, covered_seconds) AS uptime,
       coalesce(known, 0::bit(90))::text             AS known,
       coalesce(degraded, 0::bit(90))::text          AS degraded,
       coalesce(failed, 0::bit(90))::text            AS failed,
       (SELECT today FROM clock)                     AS today
FROM service_status
LEFT JOIN history USING (service_id)
WHERE public
ORDER BY group_name NULLS FIRST, name, id
