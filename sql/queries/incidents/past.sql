-- One page of the last days of the reporting time zone, newest first, each with the incidents that began on it; days without
-- one too. At most 1000 incidents a page.
WITH clock AS MATERIALIZED (
    SELECT zone, (now() AT TIME ZONE zone)::date AS today FROM (SELECT reporting_time_zone() AS zone) AS reporting
), days AS MATERIALIZED (
    SELECT day::date                                             AS day,
           day AT TIME ZONE zone                                 AS starts_at,
           (day + interval '1 day') AT TIME ZONE zone            AS ends_at
    FROM clock, generate_series(today::timestamp, today::timestamp - make_interval(days => %(days)s - 1), '-1 day') AS day
    ORDER BY day DESC
    LIMIT %(limit)s OFFSET %(offset)s
), begun AS MATERIALIZED (
    SELECT incidents
    FROM incidents
    WHERE (public OR %(internal)s)
      AND created_at >= (SELECT min(starts_at) FROM days)
      AND created_at < (SELECT max(ends_at) FROM days)
    ORDER BY created_at DESC, id DESC
    LIMIT 1000
)
SELECT day,
       coalesce(jsonb_agg(incident_json(incidents, %(internal)s) ORDER BY (incidents).created_at DESC, (incidents).id DESC)
                    FILTER (WHERE (incidents).id IS NOT NULL), '[]') AS incidents
FROM days
LEFT JOIN begun ON (incidents).created_at >= starts_at AND (incidents).created_at < ends_at
GROUP BY day
ORDER BY day DESC
