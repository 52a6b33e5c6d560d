-- How many days of the reporting time zone the history of incidents has, today and the one of the first public incident included;
-- none where there has never been one.
SELECT coalesce((now() AT TIME ZONE zone)::date - (min(created_at) AT TIME ZONE zone)::date + 1, 0) AS total
FROM (SELECT reporting_time_zone() AS zone) AS reporting
LEFT JOIN incidents ON public
GROUP BY zone
