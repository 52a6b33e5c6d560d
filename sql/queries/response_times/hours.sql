-- Response times of one service from the hourly aggregates: first the whole window (time NULL), then one row a step
-- that has any. The window is widened to whole buckets. A percentile lies in the bin where the running count passes its rank,
-- at the same share of the bin's width as of its count (bin b holds the times above 1.04^(b-1) and up to 1.04^b ms).
-- Phases are means over the good checks; the transfer is what they leave of the whole.
WITH asked AS (
    SELECT date_trunc('hour', %(start)s::timestamptz, reporting_time_zone()) AS low,
           date_trunc('hour', %(end)s::timestamptz + interval '3599.999999 seconds', reporting_time_zone()) AS high
), figures AS (
    SELECT time, sum(checks) AS checks, sum(failed) AS errors, sum(sum_ms) / nullif(sum(good), 0) AS avg,
           min(min_ms)::float8 AS min, max(max_ms)::float8 AS max
    FROM (
        SELECT date_bin(%(step)s, bucket, low) AS time, checks.*
        FROM asked
        CROSS JOIN checks_hourly AS checks
        WHERE service_id = %(service_id)s
          AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked)
    ) AS buckets
    GROUP BY GROUPING SETS ((time), ())
), bins AS (
    SELECT time, bin, n,
           sum(n) OVER (PARTITION BY time ORDER BY bin) AS upto,
           sum(n) OVER (PARTITION BY time)              AS total
    FROM (
        SELECT time, bin, sum(checks) AS n
        FROM (
            SELECT date_bin(%(step)s, bucket, low) AS time, bin, checks
            FROM asked
            CROSS JOIN latency_hourly AS latency
            WHERE service_id = %(service_id)s
              AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked)
        ) AS buckets
        GROUP BY GROUPING SETS ((time, bin), (bin))
    ) AS counted
), ranked AS (
    SELECT time, share, power(1.04, bin - 1 + (share * total - (upto - n)) / n) AS ms
    FROM bins
    CROSS JOIN (VALUES (0.50), (0.95), (0.99)) AS percentile (share)
    WHERE upto >= share * total AND upto - n < share * total
), percentiles AS (
    SELECT time,
           min(ms) FILTER (WHERE share = 0.50) AS p50,
           min(ms) FILTER (WHERE share = 0.95) AS p95,
           min(ms) FILTER (WHERE share = 0.99) AS p99
    FROM ranked
    GROUP BY time
), phases AS (
    SELECT time, sum(sum_dns_ms) / sum(checks) AS dns, sum(sum_connect_ms) / sum(checks) AS connect,
           sum(sum_tls_ms) / sum(checks) AS tls, sum(sum_first_byte_ms) / sum(checks) AS first_byte,
           sum(sum_ms) / sum(checks) AS total
    FROM (
        SELECT date_bin(%(step)s, bucket, low) AS time, phases.*
        FROM asked
        CROSS JOIN phases_hourly AS phases
        WHERE service_id = %(service_id)s
          AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked)
    ) AS buckets
    GROUP BY GROUPING SETS ((time), ())
)
SELECT figures.time, low, high, coalesce(checks, 0)::bigint AS checks, coalesce(errors, 0)::bigint AS errors,
       round(avg::numeric, 2)::float8 AS avg, round(min::numeric, 2)::float8 AS min,
       round(max::numeric, 2)::float8 AS max,
       round(least(greatest(p50, min), max)::numeric, 2)::float8 AS p50,
       round(least(greatest(p95, min), max)::numeric, 2)::float8 AS p95,
       round(least(greatest(p99, min), max)::numeric, 2)::float8 AS p99,
       round(dns::numeric, 2)::float8 AS dns, round(connect::numeric, 2)::float8 AS connect,
       round(tls::numeric, 2)::float8 AS tls, round(first_byte::numeric, 2)::float8 AS first_byte,
       round((total - least(total, dns + connect + tls + first_byte))::numeric, 2)::float8 AS transfer
FROM asked
CROSS JOIN figures
-- Each has the times of figures or fewer. FULL, as that is never a nested loop: the planner takes them for a few rows each.
FULL JOIN percentiles ON coalesce(percentiles.time, 'infinity') = coalesce(figures.time, 'infinity')
FULL JOIN phases ON coalesce(phases.time, 'infinity') = coalesce(figures.time, 'infinity')
ORDER BY figures.time NULLS FIRST
