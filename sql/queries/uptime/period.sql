-- Uptime of one public service, or of all of them together (service_id NULL). For `days` = 1 it is that of the last 24
-- hours, by quarters of an hour, otherwise that of so many local days, today included, as on the status page. No row if
-- the service does not exist or is private. The id of the service is also a condition on the rollups, so that their
-- index is used.
WITH clock AS MATERIALIZED (
    SELECT zone, local_date(present(), zone) AS today FROM (SELECT reporting_time_zone() AS zone) AS setting
), period AS MATERIALIZED (
    SELECT CASE %(days)s::integer
               WHEN 1 THEN date_bin('15 minutes', present() - interval '24 hours', timestamptz '2000-01-01 00:00Z')
               ELSE local_day_start(today - %(days)s::integer + 1, zone)
           END                                                 AS first_bucket,
           local_day_start(today, zone)                        AS today_bucket
    FROM clock
), chosen AS MATERIALIZED (
    SELECT id, name FROM services WHERE public AND (%(service_id)s::text IS NULL OR id = %(service_id)s)
), figures AS (
    SELECT down_seconds, covered_seconds
    FROM checks_15m
    WHERE %(days)s::integer = 1
      AND service_id IN (SELECT id FROM chosen)
      AND (%(service_id)s::text IS NULL OR service_id = %(service_id)s)
      AND bucket >= (SELECT first_bucket FROM period)
    UNION ALL
    SELECT down_seconds, covered_seconds
    FROM checks_daily
    WHERE %(days)s::integer > 1
      AND service_id IN (SELECT id FROM chosen)
      AND (%(service_id)s::text IS NULL OR service_id = %(service_id)s)
      AND bucket BETWEEN (SELECT first_bucket FROM period) AND (SELECT today_bucket FROM period)
)
SELECT min(name) AS name,
       (SELECT uptime_percent(sum(down_seconds), sum(covered_seconds)) FROM figures) AS uptime
FROM chosen
HAVING %(service_id)s::text IS NULL OR count(*) > 0
