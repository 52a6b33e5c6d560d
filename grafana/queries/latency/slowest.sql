-- The twenty services with the longest mean response time in the range.
SELECT service_id, coalesce(name, service_id) AS "Service", avg_ms AS "Mean", max_ms AS "Max", degraded_share AS "Degraded", checks AS "Checks"
FROM (
    SELECT service_id,
           sum(timed_checks * avg_ms) / nullif(sum(timed_checks), 0) AS avg_ms,
           max(max_ms)                                               AS max_ms,
           100 * sum(degraded) / nullif(sum(checks), 0)              AS degraded_share,
           sum(checks)                                               AS checks
    FROM analytics.buckets_v1
    WHERE $__timeFilter(starts_at)
    GROUP BY service_id
    HAVING sum(timed_checks) > 0
    ORDER BY avg_ms DESC
    LIMIT 20
) AS slowest
LEFT JOIN analytics.services_v1 USING (service_id)
ORDER BY avg_ms DESC
