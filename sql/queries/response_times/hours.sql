-- Response times of one service from hours: first the whole window (time NULL), then one row a step
-- that has any. The window is widened to whole hours, as the clocks of the reporting zone
-- show them where it begins. Where these are not those of UTC, they are made of quarters of an hour.
-- A percentile is the middle of the bin that its nearest rank lies in, held between the least and the greatest time of the window:
-- within two percent of the exact one, and the same from raw checks and from any aggregate.
-- Phases are means over the good checks; the transfer is what they leave of the whole.
WITH asked AS (
    SELECT shifted,
           date_bin('1 hour', %(start)s::timestamptz, origin) AS low,
           date_bin('1 hour', %(end)s::timestamptz + interval '3599.999999 seconds', origin) AS high
    FROM (
        SELECT shift <> 0 AS shifted, timestamptz '2000-01-01 00:00Z' - shift * interval '1 second' AS origin
        FROM (
            SELECT mod(extract(epoch FROM (%(start)s::timestamptz AT TIME ZONE reporting_time_zone())
                                          - (%(start)s::timestamptz AT TIME ZONE 'UTC'))::integer, 3600) AS shift
        ) AS zone
    ) AS clock
), buckets AS (
    SELECT date_bin(%(step)s, bucket, low) AS time, checks, failed, sum_ms, good, min_ms, max_ms
    FROM asked
    CROSS JOIN checks_hourly
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked) AND NOT (SELECT shifted FROM asked)
    UNION ALL
    SELECT date_bin(%(step)s, bucket, low) AS time, checks, failed, sum_ms, good, min_ms, max_ms
    FROM asked
    CROSS JOIN checks_15m
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked) AND (SELECT shifted FROM asked)
), bins AS (
    SELECT date_bin(%(step)s, bucket, low) AS time, bin, checks AS n
    FROM asked
    CROSS JOIN latency_hourly
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked) AND NOT (SELECT shifted FROM asked)
    UNION ALL
    SELECT date_bin(%(step)s, bucket, low) AS time, bin, checks AS n
    FROM asked
    CROSS JOIN latency_15m
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked) AND (SELECT shifted FROM asked)
), measured AS (
    SELECT date_bin(%(step)s, bucket, low) AS time, checks, sum_ms, sum_dns_ms, sum_connect_ms, sum_tls_ms, sum_first_byte_ms
    FROM asked
    CROSS JOIN phases_hourly
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked) AND NOT (SELECT shifted FROM asked)
    UNION ALL
    SELECT date_bin(%(step)s, bucket, low) AS time, checks, sum_ms, sum_dns_ms, sum_connect_ms, sum_tls_ms, sum_first_byte_ms
    FROM asked
    CROSS JOIN phases_15m
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked) AND (SELECT shifted FROM asked)
), binned AS (
    SELECT time, bin, n,
           sum(n) OVER (PARTITION BY time ORDER BY bin) AS upto,
           sum(n) OVER (PARTITION BY time)              AS total
    FROM (SELECT time, bin, sum(n) AS n FROM bins GROUP BY GROUPING SETS ((time, bin), (bin))) AS counted
), percentiles AS (
    SELECT time,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.50 * total)) AS p50,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.95 * total)) AS p95,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.99 * total)) AS p99
    FROM binned
    GROUP BY time
), figures AS (
    SELECT time, sum(checks) AS checks, sum(failed) AS errors, sum(sum_ms) / nullif(sum(good), 0) AS avg,
           min(min_ms)::float8 AS min, max(max_ms)::float8 AS max
    FROM buckets
    GROUP BY GROUPING SETS ((time), ())
), phases AS (
    SELECT time, sum(sum_dns_ms) / sum(checks) AS dns, sum(sum_connect_ms) / sum(checks) AS connect,
           sum(sum_tls_ms) / sum(checks) AS tls, sum(sum_first_byte_ms) / sum(checks) AS first_byte,
           sum(sum_ms) / sum(checks) AS total
    FROM measured
    GROUP BY GROUPING SETS ((time), ())
)
SELECT figures.time, low, high, coalesce(checks, 0)::bigint AS checks, coalesce(errors, 0)::bigint AS errors,
       round(avg::numeric, 4)::float8 AS avg, min, max,
       round(least(greatest(p50, min), max)::numeric, 4)::float8 AS p50,
       round(least(greatest(p95, min), max)::numeric, 4)::float8 AS p95,
       round(least(greatest(p99, min), max)::numeric, 4)::float8 AS p99,
       round(dns::numeric, 2)::float8 AS dns, round(connect::numeric, 2)::float8 AS connect,
       round(tls::numeric, 2)::float8 AS tls, round(first_byte::numeric, 2)::float8 AS first_byte,
       round((total - least(total, dns + connect + tls + first_byte))::numeric, 2)::float8 AS transfer
FROM asked
CROSS JOIN figures
-- Each has the times of figures or fewer. FULL, as that is never a nested loop: the planner takes them for a few rows each.
FULL JOIN percentiles ON coalesce(percentiles.time, 'infinity') = coalesce(figures.time, 'infinity')
FULL JOIN phases ON coalesce(phases.time, 'infinity') = coalesce(figures.time, 'infinity')
ORDER BY figures.time NULLS FIRST
