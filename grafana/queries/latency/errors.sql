-- The number of failed checks of the service in each step of the range, by the kind of error.
SELECT date_bin('$__interval', scheduled_at, timestamptz '2000-01-01 00:00Z') AS "time",
       coalesce(error_type, 'other')                                          AS metric,
       count(*)                                                               AS checks
FROM analytics.checks_v1
WHERE service_id = '$service' AND $__timeFilter(scheduled_at) AND NOT success
GROUP BY 1, 2
ORDER BY 1, 2
