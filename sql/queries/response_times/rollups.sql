-- Response times of one service from one tier of the rollups: first the whole window (time NULL), then one row per step
-- with checks. The window is widened to whole buckets: see buckets_of_window(). A percentile is the middle of the bin
-- that contains its nearest rank, limited to the range between the least and the greatest time of the window: within
-- two percent of the exact one, and the same from raw checks and from any tier. Phases are means over the good checks;
-- the transfer is the rest of the total.
WITH buckets_of_window AS MATERIALIZED (
    SELECT tier, zone, first_day, low, high FROM buckets_of_window(%(tier)s::rollup_tier, %(start)s, %(end)s)
), parts AS MATERIALIZED (
    SELECT figures.*
    FROM buckets_of_window
    CROSS JOIN figures_of_service(%(service_id)s, buckets_of_window.tier, buckets_of_window.low, buckets_of_window.high) AS figures
), steps AS MATERIALIZED (
    -- The step of each bucket; a step of days begins with the first of them.
    SELECT bucket,
           CASE
               WHEN first_day IS NULL THEN date_bin(%(step)s, bucket, low)
               ELSE local_day_start(first_day + (local_date(bucket, zone) - first_day) / days * days, zone)
           END AS time
    FROM buckets_of_window
    CROSS JOIN (SELECT (extract(epoch FROM %(step)s::interval) / 86400)::integer AS days) AS whole_days
    CROSS JOIN (SELECT DISTINCT bucket FROM parts) AS buckets
), counted AS MATERIALIZED (
    -- Whole numbers up to 2^53 are exact, and sums of them take a third of the time of numeric ones.
    SELECT time, bin, sum(n)::float8 AS n
    FROM (SELECT time, unnest(parts.bins) AS bin, unnest(bin_checks) AS n FROM parts JOIN steps USING (bucket)) AS counts
    GROUP BY time, bin
), ranked AS (
    SELECT time, bin,
           sum(n) OVER (PARTITION BY time ORDER BY bin) AS upto,
           sum(n) OVER (PARTITION BY time)              AS total
    FROM (
        SELECT time, bin, n FROM counted
        UNION ALL
        SELECT NULL, bin, sum(n) FROM counted GROUP BY bin
    ) AS counts
), percentiles AS (
    -- The nearest rank: the first bin at which the number of checks up to it reaches the share.
    SELECT time,
           bin_ms(min(bin) FILTER (WHERE upto * 100 >= total * 50)) AS p50,
           bin_ms(min(bin) FILTER (WHERE upto * 100 >= total * 95)) AS p95,
           bin_ms(min(bin) FILTER (WHERE upto * 100 >= total * 99)) AS p99
    FROM ranked
    GROUP BY time
), figures AS (
    SELECT time, sum(checks) AS checks, sum(failed) AS errors, sum(sum_ms) / nullif(sum(good), 0) AS avg,
           min(min_ms)::float8 AS min, max(max_ms)::float8 AS max,
           sum(dns_ms) / nullif(sum(measured), 0) AS dns, sum(connect_ms) / nullif(sum(measured), 0) AS connect,
           sum(tls_ms) / nullif(sum(measured), 0) AS tls, sum(first_byte_ms) / nullif(sum(measured), 0) AS first_byte,
           sum(measured_ms) / nullif(sum(measured), 0) AS total
    FROM parts
    JOIN steps USING (bucket)
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
FROM buckets_of_window
CROSS JOIN figures
-- A FULL JOIN is never a nested loop, which the planner would choose since it expects few rows on both sides.
FULL JOIN percentiles ON coalesce(percentiles.time, 'infinity') = coalesce(figures.time, 'infinity')
ORDER BY figures.time NULLS FIRST
