-- The calendar of one service, or of all public ones together (service_id NULL): for each month one row per day, and
-- one row without a day for the whole month. A day of all systems has the status of its worst service. `incidents`
-- counts the public incidents that were open on the day and affect the service, or any service. The downtime of all
-- systems is the mean of the services; their uptime weighs each service by its known seconds. Without `start_date`
-- the months are the last ones, the current one included. `internal` includes services and incidents that are not
-- public.
WITH clock AS MATERIALIZED (
    SELECT zone, today, coalesce(date_trunc('month', %(start_date)s::date),
                                 date_trunc('month', today) - make_interval(months => %(months)s - 1))::date AS first_day
    FROM (SELECT reporting_time_zone() AS zone, local_date(present(), reporting_time_zone()) AS today) AS today
), calendar AS (
    SELECT day::date                                        AS day,
           date_trunc('month', day)::date                   AS month,
           day::date > today                                AS future,
           local_day_start(day::date, zone)                 AS starts_at,
           local_day_start(day::date + 1, zone)             AS ends_at
    FROM clock,
         generate_series(first_day::timestamp,
                         first_day + make_interval(months => %(months)s) - interval '1 day', '1 day') AS day
), chosen AS (
    SELECT id FROM services WHERE (public OR %(internal)s) AND (%(service_id)s::text IS NULL OR id = %(service_id)s)
), figures AS (
    SELECT day,
           max(status)           AS status,
           sum(checks)           AS checks,
           bool_or(accounted)    AS accounted,
           sum(down_seconds)     AS down_seconds,
           sum(covered_seconds)  AS covered_seconds,
           sum(lost_seconds)     AS lost_seconds,
           sum(known_seconds)    AS known_seconds,
           avg(downtime_seconds) AS downtime_seconds
    FROM days_of_services(CASE WHEN %(service_id)s::text IS NOT NULL THEN ARRAY[%(service_id)s::text] END,
                          (SELECT min(day) FROM calendar), (SELECT max(day) FROM calendar))
    WHERE service_id IN (SELECT id FROM chosen)
    GROUP BY day
), begun AS MATERIALIZED (
    SELECT array_agg(starts_at ORDER BY day) AS midnights,
           min(day)                          AS first_day,
           min(starts_at)                    AS starts_at,
           max(ends_at)                      AS ends_at
    FROM calendar
    WHERE NOT future
), incidents_of_days AS (
    SELECT first_day + number - 1 AS day, count(*) AS incidents
    FROM begun
    JOIN incidents ON created_at < ends_at AND (resolved_at IS NULL OR resolved_at >= starts_at)
    CROSS JOIN generate_series(
        greatest(width_bucket(created_at, midnights), 1),
        -- An incident that is resolved at midnight was not open on the day that begins then.
        CASE WHEN resolved_at IS NULL THEN cardinality(midnights)
             ELSE width_bucket(greatest(created_at, resolved_at - interval '1 microsecond'), midnights)
        END) AS number
    WHERE (incidents.public OR %(internal)s)
      AND (%(service_id)s::text IS NULL OR id IN (
          SELECT incident_id FROM incident_services WHERE service_id IN (SELECT chosen.id FROM chosen)
      ))
    GROUP BY first_day, number
)
SELECT month,
       day,
       CASE WHEN bool_and(future) THEN 'e' ELSE coalesce(max(status)::text, 'nd') END AS status,
       uptime_of_days(bool_or(accounted), sum(lost_seconds), sum(known_seconds),
                      sum(down_seconds), sum(covered_seconds))                        AS uptime,
       coalesce(sum(checks), 0)::bigint                                               AS checks,
       coalesce(sum(downtime_seconds), 0)::bigint                                     AS downtime_seconds,
       coalesce(sum(incidents), 0)::bigint                                            AS incidents
FROM calendar
LEFT JOIN figures USING (day)
LEFT JOIN incidents_of_days USING (day)
GROUP BY GROUPING SETS ((month, day), (month))
ORDER BY month, day NULLS FIRST
