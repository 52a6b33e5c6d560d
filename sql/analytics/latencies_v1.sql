-- The percentiles of the REST API: see queries/response_times/rollups.sql. Whole local days in the window are read from the rollups of
-- days, the rest from those of quarters of an hour.
CREATE FUNCTION analytics.latencies_v1(service_id text, low timestamptz, high timestamptz)
    RETURNS TABLE (checks bigint, failed bigint, timed_checks bigint, avg_ms double precision, min_ms real, max_ms real,
                   p50_ms double precision, p95_ms double precision, p99_ms double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp ROWS 1 AS
$$
WITH bounds AS MATERIALIZED (
    SELECT first_quarter, end_quarter, first_day, end_day, first_day < end_day AS has_days
    FROM (SELECT date_bin('15 minutes', latencies_v1.low, timestamptz '2000-01-01 00:00Z') AS first_quarter,
                 date_bin('15 minutes', latencies_v1.high + interval '15 minutes' - interval '1 microsecond',
                          timestamptz '2000-01-01 00:00Z')                                  AS end_quarter) AS quarters
    CROSS JOIN LATERAL (SELECT local_day_start(local_date(first_quarter - interval '1 microsecond', time_zone) + 1, time_zone) AS first_day,
                               local_day(end_quarter, time_zone)                                                               AS end_day
                        FROM installation) AS days
), parts AS MATERIALIZED (
    SELECT figures.*
    FROM bounds
    CROSS JOIN LATERAL (
        VALUES ('daily'::rollup_tier, first_day, end_day),
               ('15m', first_quarter, CASE WHEN has_days THEN first_day ELSE end_quarter END),
               ('15m', CASE WHEN has_days THEN end_day ELSE end_quarter END, end_quarter)
    ) AS spans (tier, span_low, span_high)
    CROSS JOIN LATERAL figures_of_service(latencies_v1.service_id, tier, span_low, span_high) AS figures
    WHERE span_low < span_high
), figures AS (
    SELECT coalesce(sum(checks), 0)::bigint AS checks,
           coalesce(sum(failed), 0)::bigint AS failed,
           coalesce(sum(good), 0)::bigint   AS good,
           sum(sum_ms)                      AS sum_ms,
           min(min_ms)                      AS least_ms,
           max(max_ms)                      AS greatest_ms
    FROM parts
), binned AS (
    SELECT bin, sum(sum(n)) OVER (ORDER BY bin) AS upto, sum(sum(n)) OVER () AS total
    FROM parts
    CROSS JOIN LATERAL unnest(bins, bin_checks) AS counted (bin, n)
    GROUP BY bin
), percentiles AS (
    SELECT min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.50 * total)) AS p50,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.95 * total)) AS p95,
           min(bin_ms(bin)) FILTER (WHERE upto >= ceil(0.99 * total)) AS p99
    FROM binned
)
SELECT checks, failed, good, sum_ms / nullif(good, 0), least_ms, greatest_ms,
       least(greatest(p50, least_ms), greatest_ms), least(greatest(p95, least_ms), greatest_ms),
       least(greatest(p99, least_ms), greatest_ms)
FROM figures
CROSS JOIN percentiles
$$;

COMMENT ON FUNCTION analytics.latencies_v1 IS
'response times of the checks of a service in a window, from all locations: always one row
service_id: the service
low: the start of the window, which is moved back to a quarter of an hour (UTC)
high: the end of the window, which is moved forward to a quarter of an hour (UTC)
checks: the number of checks
failed: of those, the number of failed checks
timed_checks: the number of good checks with a response time, which the other columns are about
avg_ms: mean response time in milliseconds; NULL: no check
min_ms: least response time in milliseconds; NULL: no check
max_ms: greatest response time in milliseconds; NULL: no check
p50_ms: median response time in milliseconds, within 2 percent of the nearest rank; NULL: no check
p95_ms: 95th percentile in milliseconds, within 2 percent of the nearest rank; NULL: no check
p99_ms: 99th percentile in milliseconds, within 2 percent of the nearest rank; NULL: no check';
