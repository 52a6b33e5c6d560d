-- The response times of the service in the range, from all locations.
SELECT p50_ms AS "p50", p95_ms AS "p95", p99_ms AS "p99", max_ms AS "Max", 100.0 * failed / nullif(checks, 0) AS "Failed"
FROM analytics.latencies_v1('$service', $__timeFrom(), $__timeTo())
