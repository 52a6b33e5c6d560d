-- Where the time of good checks went, in sums that can be added up over any window. What is left of sum_ms is the transfer.
CREATE MATERIALIZED VIEW phases_15m
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('15 minutes', scheduled_at)               AS bucket,
       service_id,
       location,
       count(*)                                              AS checks,
       sum(total_ms::double precision)                       AS sum_ms,
       coalesce(sum(dns_ms::double precision), 0)            AS sum_dns_ms,
       coalesce(sum(connect_ms::double precision), 0)        AS sum_connect_ms,
       coalesce(sum(tls_ms::double precision), 0)            AS sum_tls_ms,
       sum(first_byte_ms::double precision)                  AS sum_first_byte_ms
FROM checks
WHERE success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL
GROUP BY 1, service_id, location
WITH NO DATA;

CREATE INDEX ON phases_15m (service_id, bucket);

ALTER MATERIALIZED VIEW phases_15m
    SET (timescaledb.enable_columnstore, timescaledb.segmentby = 'service_id, location', timescaledb.orderby = 'bucket');

-- Nothing in a new installation. In one that has been recording without this aggregate, housekeeping makes its last month.
INSERT INTO touched_ranges (range)
SELECT tstzrange(greatest(oldest_check(), now() - interval '31 days'), now())
WHERE EXISTS (SELECT FROM checks);
