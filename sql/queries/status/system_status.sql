-- What each public service is now, and its last 90 local days, today included: one row a service, by group and name.
-- The days come as three strings of 90 binary digits, the last one `today`: has it data, was it degraded or worse, did checks
-- fail. One pass over the daily aggregate: 90,000 rows for 1,000 services, and a bit each is the cheapest that can be kept.
WITH clock AS MATERIALIZED (
    SELECT zone, (now() AT TIME ZONE zone)::date AS today FROM (SELECT reporting_time_zone() AS zone) AS setting
), days AS MATERIALIZED (
    SELECT day_bucket((today - 89 + position + time '12:00') AT TIME ZONE zone) AS bucket,
           1::bit(90) << (89 - position)                                       AS bit
    FROM clock
    CROSS JOIN generate_series(0, 89) AS position
), history AS (
    SELECT service_id,
           bit_or(bit)                              AS known,
           bit_or(bit) FILTER (WHERE worst >= 'po') AS degraded,
           bit_or(bit) FILTER (WHERE worst = 'mo')  AS failed,
           sum(down_seconds)                        AS down_seconds,
           sum(covered_seconds)                     AS covered_seconds
    FROM checks_daily
    JOIN days USING (bucket)
    WHERE bucket >= (SELECT min(bucket) FROM days)
    GROUP BY service_id
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
