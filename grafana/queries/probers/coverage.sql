-- The share of each whole quarter of an hour in the range that the checks of a location stand for: the mean of the services that it
-- checked in it.
SELECT date_bin('$__interval', starts_at, timestamptz '2000-01-01 00:00Z') AS "time",
       location                                                            AS metric,
       avg(least(100, covered_seconds / 9.0))                              AS coverage
FROM analytics.buckets_v1
WHERE $__timeFilter(starts_at) AND starts_at <= now() - interval '15 minutes'
GROUP BY 1, 2
ORDER BY 1, 2
