-- The mean time of each phase of the checks of the service in each step of the range. `Rest`: sending, reading the response, and the
-- phases of checks without all phases.
SELECT date_bin('$__interval', starts_at, timestamptz '2000-01-01 00:00Z')             AS "time",
       sum(phased_checks * avg_dns_ms) / nullif(sum(phased_checks), 0)                  AS "DNS",
       sum(phased_checks * avg_connect_ms) / nullif(sum(phased_checks), 0)              AS "Connect",
       sum(phased_checks * avg_tls_ms) / nullif(sum(phased_checks), 0)                  AS "TLS",
       sum(phased_checks * avg_first_byte_ms) / nullif(sum(phased_checks), 0)           AS "First byte",
       greatest(0, sum(timed_checks * avg_ms) / nullif(sum(timed_checks), 0)
                   - sum(phased_checks * (avg_dns_ms + avg_connect_ms + avg_tls_ms + avg_first_byte_ms)) / nullif(sum(phased_checks), 0))
                                                                                        AS "Rest"
FROM analytics.buckets_v1
WHERE service_id = '$service' AND $__timeFilter(starts_at)
GROUP BY 1
ORDER BY 1
