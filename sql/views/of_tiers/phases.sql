-- Where the time of good checks went by quarter of an hour (UTC), in sums; what is left of sum_ms is the transfer.
CREATE VIEW phases_15m AS
SELECT bucket,
       service_id COLLATE "C" AS service_id,
       location COLLATE "C"   AS location,
       measured               AS checks,
       measured_ms            AS sum_ms,
       dns_ms                 AS sum_dns_ms,
       connect_ms             AS sum_connect_ms,
       tls_ms                 AS sum_tls_ms,
       first_byte_ms          AS sum_first_byte_ms
FROM figures_of_tier('15m')
WHERE measured > 0;

COMMENT ON VIEW phases_15m IS 'one row for each service, location and quarter of an hour (UTC): milliseconds of each phase, summed over the good checks';
