-- The number of checks in each step of the range, by their result.
SELECT date_bin('$__interval', starts_at, timestamptz '2000-01-01 00:00Z') AS "time",
       sum(checks - degraded - failed)                                     AS "Operational",
       sum(degraded)                                                       AS "Degraded",
       sum(failed)                                                         AS "Outage"
FROM analytics.buckets_v1
WHERE $__timeFilter(starts_at)
GROUP BY 1
ORDER BY 1
