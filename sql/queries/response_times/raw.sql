-- Response times of one service from its raw checks: first the whole window (time NULL), then one row a step that has any.
-- Percentiles are exact, over the good checks; phases are means, and the transfer is what they leave of the whole.
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
       round((percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) FILTER (WHERE success))::numeric, 2)::float8 AS p99,
       round(avg(dns) FILTER (WHERE measured)::numeric, 2)::float8                   AS dns,
       round(avg(connect) FILTER (WHERE measured)::numeric, 2)::float8               AS connect,
       round(avg(tls) FILTER (WHERE measured)::numeric, 2)::float8                   AS tls,
       round(avg(first_byte) FILTER (WHERE measured)::numeric, 2)::float8            AS first_byte,
       round((avg(total_ms) FILTER (WHERE measured)
              - least(avg(total_ms) FILTER (WHERE measured), avg(dns + connect + tls + first_byte) FILTER (WHERE measured))
             )::numeric, 2)::float8                                                  AS transfer
FROM (
    SELECT date_bin(%(step)s, scheduled_at, %(start)s::timestamptz) AS bin, scheduled_at, success, total_ms,
           success AND first_byte_ms IS NOT NULL AS measured,
           coalesce(dns_ms, 0)::float8 AS dns, coalesce(connect_ms, 0)::float8 AS connect,
           coalesce(tls_ms, 0)::float8 AS tls, first_byte_ms::float8 AS first_byte
    FROM checks
    WHERE service_id = %(service_id)s AND scheduled_at >= %(start)s AND scheduled_at < %(end)s
) AS chosen
GROUP BY GROUPING SETS ((bin), ())
ORDER BY time NULLS FIRST
