-- One page of the last days of the reporting time zone, newest first, each with the incidents that began on it and their number; days
-- without incidents too. A page contains the newest `most` incidents.
WITH clock AS MATERIALIZED (
    SELECT zone, local_date(present(), zone) AS today FROM (SELECT reporting_time_zone() AS zone) AS reporting
), days AS MATERIALIZED (
    SELECT day::date                             AS day,
           local_day_start(day::date, zone)      AS starts_at,
           local_day_start(day::date + 1, zone)  AS ends_at
    FROM clock, generate_series(today::timestamp, today::timestamp - make_interval(days => %(days)s - 1), '-1 day') AS day
    ORDER BY day DESC
    LIMIT %(limit)s OFFSET %(offset)s
), begun AS MATERIALIZED (
    SELECT id, created_at, row_number() OVER (ORDER BY created_at DESC, id DESC) AS place
    FROM incidents
    WHERE (public OR %(internal)s)
      AND created_at >= (SELECT min(starts_at) FROM days)
      AND created_at < (SELECT max(ends_at) FROM days)
)
SELECT day,
       coalesce(jsonb_agg(incident_json(incidents, %(internal)s, false) ORDER BY place)
                    FILTER (WHERE incidents.id IS NOT NULL), '[]') AS incidents,
       count(begun.id)                                             AS total
FROM days
LEFT JOIN begun ON begun.created_at >= starts_at AND begun.created_at < ends_at
LEFT JOIN incidents ON incidents.id = begun.id AND place <= %(most)s
GROUP BY day
ORDER BY day DESC
