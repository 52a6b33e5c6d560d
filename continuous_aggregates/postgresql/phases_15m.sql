-- Where the time of good checks went, in sums that can be added up over any window. What is left of sum_ms is the transfer.
CREATE TABLE materialized_phases_15m (
    bucket            timestamptz      NOT NULL,
    service_id        text COLLATE "C" NOT NULL,
    location          text COLLATE "C" NOT NULL,
    checks            bigint           NOT NULL,
    sum_ms            double precision NOT NULL,
    sum_dns_ms        double precision NOT NULL,
    sum_connect_ms    double precision NOT NULL,
    sum_tls_ms        double precision NOT NULL,
    sum_first_byte_ms double precision NOT NULL,
    PRIMARY KEY (service_id, bucket, location)
);

CREATE INDEX materialized_phases_15m_bucket ON materialized_phases_15m (bucket);

CREATE FUNCTION compute_phases_15m(low timestamptz, high timestamptz) RETURNS SETOF materialized_phases_15m
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT date_bin('15 minutes', scheduled_at, timestamptz '2000-01-01 00:00Z') AS bucket,
           service_id,
           location,
           count(*)                                              AS checks,
           sum(total_ms::double precision)                       AS sum_ms,
           coalesce(sum(dns_ms::double precision), 0)            AS sum_dns_ms,
           coalesce(sum(connect_ms::double precision), 0)        AS sum_connect_ms,
           coalesce(sum(tls_ms::double precision), 0)            AS sum_tls_ms,
           sum(first_byte_ms::double precision)                  AS sum_first_byte_ms
    FROM checks
    WHERE scheduled_at >= low AND scheduled_at < high
      AND success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL
    GROUP BY 1, service_id, location;
END;

-- Nothing in a new installation; the last month in one that has been recording without this aggregate. The watermark must
-- not move meanwhile.
LOCK TABLE aggregates_state IN EXCLUSIVE MODE;
INSERT INTO materialized_phases_15m
SELECT * FROM compute_phases_15m(date_bin('15 minutes', now() - interval '31 days', '2000-01-01 00:00Z'),
                                 aggregates_watermark());

CREATE VIEW phases_15m AS
SELECT * FROM materialized_phases_15m
UNION ALL
SELECT * FROM compute_phases_15m(aggregates_watermark(), 'infinity');
