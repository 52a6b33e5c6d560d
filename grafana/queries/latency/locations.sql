-- The mean response time of the service from each location in each step of the range.
SELECT date_bin('$__interval', starts_at, timestamptz '2000-01-01 00:00Z') AS "time",
       location                                                            AS metric,
       sum(timed_checks * avg_ms) / nullif(sum(timed_checks), 0)           AS ms
FROM analytics.buckets_v1
WHERE service_id = '$service' AND $__timeFilter(starts_at)
GROUP BY 1, 2
ORDER BY 1, 2
