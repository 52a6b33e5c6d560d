-- Percentiles of a service's successful checks, by nearest rank among the raw rows.
SELECT count(*)                                              AS good,
       percentile_disc(0.50) WITHIN GROUP (ORDER BY total_ms) AS p50,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY total_ms) AS p95,
       percentile_disc(0.99) WITHIN GROUP (ORDER BY total_ms) AS p99
FROM checks
WHERE service_id = %(service_id)s AND scheduled_at >= %(start)s AND scheduled_at < %(end)s AND success AND total_ms IS NOT NULL
