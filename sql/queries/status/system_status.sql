-- The present state of each public service and its last 90 local days, today included: one row per service, by group
-- and name. The days are three strings of 90 binary digits, of which the last one is `today`: `known` (the day has
-- data), `degraded` (checks were degraded or failed) and `failed` (checks failed). The days before today are stored
-- (day_strips). Of services with days under an SLA policy, they follow from accounting (sla_strips_today).
WITH clock AS MATERIALIZED (
    SELECT today, local_day_start(today, zone) AS starts_at, local_day_start(today + 1, zone) AS ends_at
    FROM (SELECT reporting_time_zone() AS zone, local_date(present(), reporting_time_zone()) AS today) AS setting
), closed AS (
    SELECT strips.*
    FROM clock
    CROSS JOIN closed_strips(today) AS strips
), running AS (
    SELECT figures.*,
           (worst IS NOT NULL)::int::bit(90)             AS today_known,
           coalesce(worst >= 'po', false)::int::bit(90)  AS today_degraded,
           coalesce(worst = 'mo', false)::int::bit(90)   AS today_failed
    FROM clock
    CROSS JOIN figures_of_day(starts_at, ends_at) AS figures
), accounted AS (
    -- The policy may have ended: then today is by checks, as the mean of the locations.
    SELECT strips.service_id,
           CASE WHEN with_today THEN known ELSE known | coalesce(today_known, 0::bit(90)) END          AS known,
           CASE WHEN with_today THEN degraded ELSE degraded | coalesce(today_degraded, 0::bit(90)) END AS degraded,
           CASE WHEN with_today THEN failed ELSE failed | coalesce(today_failed, 0::bit(90)) END       AS failed,
           lost_seconds + CASE WHEN with_today THEN 0 ELSE coalesce(down_seconds / locations, 0) END   AS lost_seconds,
           known_seconds + CASE WHEN with_today THEN 0 ELSE coalesce(covered_seconds / locations, 0) END AS known_seconds
    FROM sla_strips_today() AS strips
    LEFT JOIN running ON running.service_id = strips.service_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT with_today THEN (SELECT nullif(count(*), 0)::numeric
                                              FROM latest_checks
                                              WHERE latest_checks.service_id = strips.service_id
                                                AND scheduled_at >= (SELECT starts_at FROM clock)) END AS locations
    ) AS counted
), history AS (
    SELECT service_id,
           coalesce(known, 0::bit(90)) | coalesce(today_known, 0::bit(90))            AS known,
           coalesce(degraded, 0::bit(90)) | coalesce(today_degraded, 0::bit(90))      AS degraded,
           coalesce(failed, 0::bit(90)) | coalesce(today_failed, 0::bit(90))          AS failed,
           coalesce(closed.down_seconds, 0) + coalesce(running.down_seconds, 0)       AS lost_seconds,
           coalesce(closed.covered_seconds, 0) + coalesce(running.covered_seconds, 0) AS known_seconds
    FROM closed
    FULL JOIN running USING (service_id)
    WHERE service_id NOT IN (SELECT service_id FROM accounted)
    UNION ALL
    SELECT service_id, known, degraded, failed, lost_seconds, known_seconds
    FROM accounted
)
SELECT service_status.service_id                   AS id,
       name,
       group_name,
       state                                       AS status,
       checked_at,
       uptime_percent(lost_seconds, known_seconds) AS uptime,
       coalesce(known, 0::bit(90))::text           AS known,
       coalesce(degraded, 0::bit(90))::text        AS degraded,
       coalesce(failed, 0::bit(90))::text          AS failed,
       (SELECT today FROM clock)                   AS today
FROM service_status
LEFT JOIN history USING (service_id)
WHERE public
ORDER BY group_name NULLS FIRST, name, id
