-- Uptime of one public service, or of all of them together (service_id NULL). For `days` = 1 it is that of the last 24
-- hours, by quarters of an hour, otherwise that of so many local days, today included, as on the status page. No row if
-- the service does not exist or is private. The id of the service is also a condition on the rollups, so that their
-- index is used.
WITH clock AS MATERIALIZED (
    SELECT local_date(present(), reporting_time_zone())                                               AS today,
           date_bin('15 minutes', present() - interval '24 hours', timestamptz '2000-01-01 00:00Z') AS first_quarter
), chosen AS MATERIALIZED (
    SELECT id, name FROM services WHERE public AND (%(service_id)s::text IS NULL OR id = %(service_id)s)
), figures AS (
    SELECT accounted, lost_seconds, known_seconds, down_seconds, covered_seconds
    FROM clock
    CROSS JOIN LATERAL hours_of_services(ARRAY(SELECT id FROM chosen), first_quarter)
    WHERE %(days)s::integer = 1
    UNION ALL
    SELECT accounted, lost_seconds, known_seconds, down_seconds, covered_seconds
    FROM clock
    CROSS JOIN LATERAL days_of_services(CASE WHEN %(service_id)s::text IS NOT NULL THEN ARRAY[%(service_id)s::text] END,
                                        today - %(days)s::integer + 1, today)
    WHERE %(days)s::integer > 1 AND service_id IN (SELECT id FROM chosen)
)
SELECT min(name) AS name,
       (SELECT uptime_of_days(bool_or(accounted), sum(lost_seconds), sum(known_seconds), sum(down_seconds), sum(covered_seconds))
        FROM figures) AS uptime
FROM chosen
HAVING %(service_id)s::text IS NULL OR count(*) > 0
