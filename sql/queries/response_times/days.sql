-- Response times of one service from local days: first the whole window (time NULL), then one row a step
-- that has any. The window is widened to whole days.
-- A percentile is the middle of the bin that its nearest rank lies in, held between the least and the greatest time of the window:
-- within two percent of the exact one, and the same from raw checks and from any aggregate.
-- Phases are means over the good checks; the transfer is what they leave of the whole.
WITH asked AS (
    SELECT zone, first_day, days,
           local_day_start(first_day, zone)    AS low,
           local_day_start(last_day + 1, zone) AS high
    FROM (
        SELECT zone,
               local_date(%(start)s::timestamptz, zone)                               AS first_day,
               local_date(%(end)s::timestamptz - interval '1 microsecond', zone)      AS last_day,
               (extract(epoch FROM %(step)s::interval) / 86400)::integer              AS days
        FROM (SELECT reporting_time_zone() AS zone) AS setting
    ) AS window_of_days
), found AS MATERIALIZED (
    SELECT bucket, checks, failed, sum_ms, good, min_ms, max_ms
    FROM checks_daily
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked)
), steps AS MATERIALIZED (
    -- The step that each day belongs to, by the first of its days.
    SELECT bucket,
           local_day_start(first_day + ((bucket AT TIME ZONE zone)::date - first_day) / days * days, zone) AS time
    FROM asked
    CROSS JOIN (SELECT DISTINCT bucket FROM found) AS buckets
), buckets AS (
    SELECT time, checks, failed, sum_ms, good, min_ms, max_ms
    FROM found
    JOIN steps USING (bucket)
), bins AS (
    SELECT time, bin, checks AS n
    FROM latency_daily
    JOIN steps USING (bucket)
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked)
), measured AS (
    SELECT time, checks, sum_ms, sum_dns_ms, sum_connect_ms, sum_tls_ms, sum_first_byte_ms
    FROM phases_daily
    JOIN steps USING (bucket)
    WHERE service_id = %(service_id)s
      AND bucket >= (SELECT low FROM asked) AND bucket < (SELECT high FROM asked)
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
