-- As checks_15m, on the tables themselves: the functions that checks_15m calls would read them as the analyst. Closed quarters of an
-- hour are in the rollups; to the open one the raw checks above the watermark are added.
CREATE VIEW analytics.buckets_v1 AS
SELECT service_id,
       location,
       bucket                         AS starts_at,
       checks,
       degraded,
       failed,
       covered_seconds,
       degraded_seconds,
       down_seconds,
       good                           AS timed_checks,
       sum_ms / nullif(good, 0)       AS avg_ms,
       min_ms,
       max_ms,
       measured                       AS phased_checks,
       dns_ms / nullif(measured, 0)        AS avg_dns_ms,
       connect_ms / nullif(measured, 0)    AS avg_connect_ms,
       tls_ms / nullif(measured, 0)        AS avg_tls_ms,
       first_byte_ms / nullif(measured, 0) AS avg_first_byte_ms
FROM (
    SELECT service_id, location, bucket, checks::bigint, degraded::bigint, failed::bigint, covered_seconds, degraded_seconds,
           down_seconds, good::bigint, sum_ms, min_ms, max_ms, measured::bigint, dns_ms, connect_ms, tls_ms, first_byte_ms
    FROM rollups
    WHERE tier = '15m' AND bucket < (SELECT open_bucket('15m'))
    UNION ALL
    SELECT service_id, location, bucket, sum(checks)::bigint, sum(degraded)::bigint, sum(failed)::bigint,
           sum(covered_seconds)::bigint, sum(degraded_seconds)::bigint, sum(down_seconds)::bigint, sum(good)::bigint, sum(sum_ms),
           min(min_ms), max(max_ms), sum(measured)::bigint, sum(dns_ms), sum(connect_ms), sum(tls_ms), sum(first_byte_ms)
    FROM (
        SELECT service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good, sum_ms,
               min_ms, max_ms, measured, dns_ms, connect_ms, tls_ms, first_byte_ms
        FROM rollups
        WHERE tier = '15m' AND bucket >= (SELECT open_bucket('15m'))
        UNION ALL
        SELECT service_id, location, date_bin('15 minutes', scheduled_at, timestamptz '2000-01-01 00:00Z') AS bucket,
               1,
               (severity = 'po')::integer,
               (severity = 'mo')::integer,
               interval_seconds,
               CASE WHEN severity = 'po' THEN interval_seconds ELSE 0 END,
               CASE WHEN severity = 'mo' THEN interval_seconds ELSE 0 END,
               (success AND total_ms IS NOT NULL)::integer,
               CASE WHEN success THEN coalesce(total_ms, 0) ELSE 0 END,
               CASE WHEN success THEN total_ms END,
               CASE WHEN success THEN total_ms END,
               is_measured::integer,
               CASE WHEN is_measured THEN coalesce(dns_ms, 0) ELSE 0 END,
               CASE WHEN is_measured THEN coalesce(connect_ms, 0) ELSE 0 END,
               CASE WHEN is_measured THEN coalesce(tls_ms, 0) ELSE 0 END,
               CASE WHEN is_measured THEN first_byte_ms ELSE 0 END
        FROM checks
        CROSS JOIN LATERAL (SELECT success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL AS is_measured) AS phases
        WHERE scheduled_at >= rollup_watermark()
    ) AS parts
    GROUP BY service_id, location, bucket
) AS figures;

COMMENT ON VIEW analytics.buckets_v1 IS
    'one row for each service, location and quarter of an hour (UTC) that has checks: counts, seconds and response times; kept for good';
COMMENT ON COLUMN analytics.buckets_v1.service_id IS 'the service, which may have been deleted since';
COMMENT ON COLUMN analytics.buckets_v1.location IS 'the location of the prober; heartbeat: reports of jobs';
COMMENT ON COLUMN analytics.buckets_v1.starts_at IS 'the start of the quarter of an hour; it has the checks that were scheduled in it';
COMMENT ON COLUMN analytics.buckets_v1.checks IS 'the number of checks';
COMMENT ON COLUMN analytics.buckets_v1.degraded IS 'of those, the number of good checks slower than degraded_after_ms';
COMMENT ON COLUMN analytics.buckets_v1.failed IS 'of those, the number of failed checks';
COMMENT ON COLUMN analytics.buckets_v1.covered_seconds IS 'seconds that the checks stand for; the rest of the quarter is unknown';
COMMENT ON COLUMN analytics.buckets_v1.degraded_seconds IS 'of those, the seconds that degraded checks stand for';
COMMENT ON COLUMN analytics.buckets_v1.down_seconds IS 'of those, the seconds that failed checks stand for';
COMMENT ON COLUMN analytics.buckets_v1.timed_checks IS 'the number of good checks with a response time: the weight of avg_ms';
COMMENT ON COLUMN analytics.buckets_v1.avg_ms IS 'mean response time of these checks in milliseconds; NULL: none';
COMMENT ON COLUMN analytics.buckets_v1.min_ms IS 'least response time of these checks in milliseconds; NULL: none';
COMMENT ON COLUMN analytics.buckets_v1.max_ms IS 'greatest response time of these checks in milliseconds; NULL: none';
COMMENT ON COLUMN analytics.buckets_v1.phased_checks IS 'of these, the number of checks with phases: the weight of the columns that follow';
COMMENT ON COLUMN analytics.buckets_v1.avg_dns_ms IS 'mean milliseconds of name resolution; a check without the phase counts 0';
COMMENT ON COLUMN analytics.buckets_v1.avg_connect_ms IS 'mean milliseconds of connecting; a check without the phase counts 0';
COMMENT ON COLUMN analytics.buckets_v1.avg_tls_ms IS 'mean milliseconds of the TLS handshake; a check without the phase counts 0';
COMMENT ON COLUMN analytics.buckets_v1.avg_first_byte_ms IS 'mean milliseconds from the end of the request to the first byte';
