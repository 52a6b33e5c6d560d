-- One view for each tier of the rollups; see TIERS in sql/schema.py.
-- Sums of the phases of good checks by {bucket}; the rest of sum_ms is the transfer.
CREATE VIEW phases_{tier} AS
SELECT bucket,
       service_id COLLATE "C" AS service_id,
       location COLLATE "C"   AS location,
       measured               AS checks,
       measured_ms            AS sum_ms,
       dns_ms                 AS sum_dns_ms,
       connect_ms             AS sum_connect_ms,
       tls_ms                 AS sum_tls_ms,
       first_byte_ms          AS sum_first_byte_ms
FROM figures_of_tier('{tier}')
WHERE measured > 0;

COMMENT ON VIEW phases_{tier} IS 'one row for each service, location and {bucket}: milliseconds of each phase, summed over the good checks';
