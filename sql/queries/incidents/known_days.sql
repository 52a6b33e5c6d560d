-- The number of days, in the reporting time zone, from the first public incident to today, both included; 0 without incidents.
SELECT coalesce(local_date(present(), zone) - local_date(min(created_at), zone) + 1, 0) AS total
FROM (SELECT reporting_time_zone() AS zone) AS reporting
LEFT JOIN incidents ON public
GROUP BY zone
