-- Response times of one service from its raw checks: first the whole window (time NULL), then one row per step with
-- checks. A percentile is the middle of the bin that contains its nearest rank, limited to the range between the least
-- and the greatest time of the window: within two percent of the exact one, and the same from raw checks and from any
-- tier. Phases are means over the good checks; the transfer is the rest of the total.
WITH chosen AS MATERIALIZED (
    SELECT date_bin(%(step)s, scheduled_at, %(start)s::timestamptz) AS time, success,
           CASE WHEN success THEN total_ms::float8 END AS ms,
           success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL AS measured, response_bin(total_ms) AS bin,
           coalesce(dns_ms, 0)::float8 AS dns, coalesce(connect_ms, 0)::float8 AS connect,
           coalesce(tls_ms, 0)::float8 AS tls, first_byte_ms::float8 AS first_byte
    FROM checks
    WHERE service_id = %(service_id)s AND scheduled_at >= %(start)s AND scheduled_at < %(end)s
), binned AS (
    SELECT time, bin,
           sum(n) OVER (PARTITION BY time ORDER BY bin) AS upto,
           sum(n) OVER (PARTITION BY time)              AS total
    FROM (SELECT time, bin, count(*) AS n FROM chosen WHERE ms IS NOT NULL GROUP BY GROUPING SETS ((time, bin), (bin))) AS counted
), percentiles AS (
    SELECT time,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.50 * total)) AS p50,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.95 * total)) AS p95,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.99 * total)) AS p99
    FROM binned
    GROUP BY time
), figures AS (
    SELECT time, count(*) FILTER (WHERE success IS NOT NULL) AS checks, count(*) FILTER (WHERE NOT success) AS errors,
           avg(ms) AS avg, min(ms) AS min, max(ms) AS max,
           avg(dns) FILTER (WHERE measured) AS dns, avg(connect) FILTER (WHERE measured) AS connect,
           avg(tls) FILTER (WHERE measured) AS tls, avg(first_byte) FILTER (WHERE measured) AS first_byte,
           avg(ms) FILTER (WHERE measured) AS measured_ms
    FROM chosen
    GROUP BY GROUPING SETS ((time), ())
)
SELECT figures.time, %(start)s::timestamptz AS low, %(end)s::timestamptz AS high, checks, errors,
       round(avg::numeric, 4)::float8 AS avg, min, max,
       round(least(greatest(p50, min), max)::numeric, 4)::float8 AS p50,
       round(least(greatest(p95, min), max)::numeric, 4)::float8 AS p95,
       round(least(greatest(p99, min), max)::numeric, 4)::float8 AS p99,
       round(dns::numeric, 2)::float8 AS dns, round(connect::numeric, 2)::float8 AS connect,
       round(tls::numeric, 2)::float8 AS tls, round(first_byte::numeric, 2)::float8 AS first_byte,
       round((measured_ms - least(measured_ms, dns + connect + tls + first_byte))::numeric, 2)::float8 AS transfer
FROM figures
FULL JOIN percentiles ON coalesce(percentiles.time, 'infinity') = coalesce(figures.time, 'infinity')
ORDER BY figures.time NULLS FIRST
