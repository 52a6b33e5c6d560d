-- One column for each of the six views of the aggregates: whether the view has as many checks of a service on one day as the raw
-- rows.
WITH raw AS (
    SELECT count(*)                                                   AS checks,
           count(*) FILTER (WHERE success AND total_ms IS NOT NULL)   AS good
    FROM checks
    WHERE service_id = %(service_id)s AND scheduled_at >= %(day)s AND scheduled_at < %(day)s::timestamptz + interval '1 day'
), day AS (
    SELECT %(day)s::timestamptz AS low, %(day)s::timestamptz + interval '1 day' AS high
)
SELECT raw.checks = (SELECT sum(checks) FROM checks_15m, day WHERE service_id = %(service_id)s AND bucket >= low AND bucket < high),
       raw.checks = (SELECT sum(checks) FROM checks_hourly, day WHERE service_id = %(service_id)s AND bucket >= low AND bucket < high),
       raw.checks = (SELECT sum(checks) FROM checks_daily, day WHERE service_id = %(service_id)s AND bucket >= low AND bucket < high),
       raw.good = (SELECT sum(checks) FROM latency_15m, day WHERE service_id = %(service_id)s AND bucket >= low AND bucket < high),
       raw.good = (SELECT sum(checks) FROM latency_hourly, day WHERE service_id = %(service_id)s AND bucket >= low AND bucket < high),
       raw.good = (SELECT sum(checks) FROM latency_daily, day WHERE service_id = %(service_id)s AND bucket >= low AND bucket < high)
FROM raw
