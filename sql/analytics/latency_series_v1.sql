-- As latencies_v1(), for each step of a window in one reading of the rollups.
CREATE FUNCTION analytics.latency_series_v1(service_id text, low timestamptz, high timestamptz, step interval)
    RETURNS TABLE (starts_at timestamptz, checks bigint, failed bigint, timed_checks bigint, avg_ms double precision, min_ms real,
                   max_ms real, p50_ms double precision, p95_ms double precision, p99_ms double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 100 AS
$$
WITH bounds AS MATERIALIZED (
    SELECT date_bin('15 minutes', latency_series_v1.low, timestamptz '2000-01-01 00:00Z')  AS first_quarter,
           date_bin('15 minutes', latency_series_v1.high + interval '15 minutes' - interval '1 microsecond',
                    timestamptz '2000-01-01 00:00Z')                                        AS end_quarter,
           ceil(greatest(extract(epoch FROM latency_series_v1.step), 900) / 900) * interval '15 minutes' AS width
), parts AS MATERIALIZED (
    SELECT date_bin(width, bucket, timestamptz '2000-01-01 00:00Z') AS step_start, figures.*
    FROM bounds
    CROSS JOIN LATERAL figures_of_service(latency_series_v1.service_id, '15m', first_quarter, end_quarter) AS figures
), figures AS (
    SELECT step_start,
           sum(checks)::bigint AS checks,
           sum(failed)::bigint AS failed,
           sum(good)::bigint   AS good,
           sum(sum_ms)         AS sum_ms,
           min(min_ms)         AS least_ms,
           max(max_ms)         AS greatest_ms
    FROM parts
    GROUP BY step_start
), binned AS (
    SELECT step_start, bin,
           sum(sum(n)) OVER (PARTITION BY step_start ORDER BY bin) AS upto,
           sum(sum(n)) OVER (PARTITION BY step_start)              AS total
    FROM parts
    CROSS JOIN LATERAL unnest(bins, bin_checks) AS counted (bin, n)
    GROUP BY step_start, bin
), percentiles AS (
    SELECT step_start,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.50 * total)) AS p50,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.95 * total)) AS p95,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.99 * total)) AS p99
    FROM binned
    GROUP BY step_start
)
SELECT step_start, checks, failed, good, sum_ms / nullif(good, 0), least_ms, greatest_ms,
       least(greatest(p50, least_ms), greatest_ms), least(greatest(p95, least_ms), greatest_ms),
       least(greatest(p99, least_ms), greatest_ms)
FROM figures
LEFT JOIN percentiles USING (step_start)
ORDER BY step_start
$$;

COMMENT ON FUNCTION analytics.latency_series_v1 IS
'response times of the checks of a service over time, from all locations: one row for each step that has checks, in order
service_id: the service
low: the start of the window, which is moved back to a quarter of an hour (UTC)
high: the end of the window, which is moved forward to a quarter of an hour (UTC)
step: the length of a step, which is rounded up to whole quarters of an hour
starts_at: the start of the step; steps are counted from 2000-01-01 00:00 UTC
checks: the number of checks
failed: of those, the number of failed checks
timed_checks: the number of good checks with a response time, which the other columns are about
avg_ms: mean response time in milliseconds; NULL: no check
min_ms: least response time in milliseconds; NULL: no check
max_ms: greatest response time in milliseconds; NULL: no check
p50_ms: median response time in milliseconds, within 2 percent of the nearest rank; NULL: no check
p95_ms: 95th percentile in milliseconds, within 2 percent of the nearest rank; NULL: no check
p99_ms: 99th percentile in milliseconds, within 2 percent of the nearest rank; NULL: no check';
