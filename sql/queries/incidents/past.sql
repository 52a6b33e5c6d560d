-- One page of the last days of the reporting time zone, newest first, each with the incidents that began on it; days without
-- one too. At most 1000 incidents a page, the newest; `truncated` where there are more.
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
    SELECT incidents, row_number() OVER (ORDER BY created_at DESC, id DESC) AS place
    FROM incidents
    WHERE (public OR %(internal)s)
      AND created_at >= (SELECT min(starts_at) FROM days)
      AND created_at < (SELECT max(ends_at) FROM days)
    ORDER BY created_at DESC, id DESC
    LIMIT 1001
)
SELECT day,
       coalesce(jsonb_agg(incident_json(incidents, %(internal)s, false) ORDER BY place)
                    FILTER (WHERE place IS NOT NULL), '[]') AS incidents,
       (SELECT count(*) FROM begun) > 1000 AS truncated
FROM days
LEFT JOIN begun ON place <= 1000 AND (incidents).created_at >= starts_at AND (incidents).created_at < ends_at
GROUP BY day
ORDER BY day DESC
