-- Response times of one service from its raw checks: first the whole window (time NULL), then one row a step that has any.
-- Percentiles are exact, over the good checks.
SELECT bin                                                                           AS time,
       %(start)s::timestamptz                                                        AS low,
       %(end)s::timestamptz                                                          AS high,
       count(scheduled_at)                                                           AS checks,
       count(*) FILTER (WHERE NOT success)                                           AS errors,
       round(avg(total_ms) FILTER (WHERE success)::numeric, 2)::float8               AS avg,
       round(min(total_ms::float8) FILTER (WHERE success)::numeric, 2)::float8       AS min,
       round(max(total_ms::float8) FILTER (WHERE success)::numeric, 2)::float8       AS max,
       round((percentile_cont(0.50) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE success))::numeric, 2)::float8 AS p50,
       round((percentile_cont(0.95) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE success))::numeric, 2)::float8 AS p95,
       round((percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE success))::numeric, 2)::float8 AS p99
FROM (
    SELECT date_bin(%(step)s, scheduled_at, %(start)s::timestamptz) AS bin, scheduled_at, success, total_ms
    FROM checks
    WHERE service_id = %(service_id)s AND scheduled_at >= %(start)s AND scheduled_at < %(end)s
) AS chosen
GROUP BY GROUPING SETS ((bin), ())
ORDER BY time NULLS FIRST
