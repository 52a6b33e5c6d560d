-- The number of checks from each location in each step of the range.
SELECT date_bin('$__interval', starts_at, timestamptz '2000-01-01 00:00Z') AS "time", location AS metric, sum(checks) AS checks
FROM analytics.buckets_v1
WHERE $__timeFilter(starts_at)
GROUP BY 1, 2
ORDER BY 1, 2
