-- The percentiles of the response times of the service in each step of the range.
SELECT starts_at AS "time", p50_ms AS "p50", p95_ms AS "p95", p99_ms AS "p99"
FROM analytics.latency_series_v1('$service', $__timeFrom(), $__timeTo(), '$__interval')
ORDER BY 1
