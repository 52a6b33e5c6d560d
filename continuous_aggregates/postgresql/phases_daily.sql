-- Days of the reporting time zone: 23, 24 or 25 hours long. Today is computed from its hours when it is read.
CREATE TABLE materialized_phases_daily (LIKE materialized_phases_15m INCLUDING ALL);

CREATE FUNCTION compute_phases_daily(low timestamptz, high timestamptz) RETURNS SETOF materialized_phases_daily
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT local_day(bucket, {time_zone}) AS bucket,
           service_id,
           location,
           sum(checks)::bigint    AS checks,
           sum(sum_ms)            AS sum_ms,
           sum(sum_dns_ms)        AS sum_dns_ms,
           sum(sum_connect_ms)    AS sum_connect_ms,
           sum(sum_tls_ms)        AS sum_tls_ms,
           sum(sum_first_byte_ms) AS sum_first_byte_ms
    FROM phases_hourly
    WHERE bucket >= low AND bucket < high
    GROUP BY 1, service_id, location;
END;

-- Nothing in a new installation; all that phases_hourly has when it is made later, as for another reporting time zone.
INSERT INTO materialized_phases_daily
SELECT * FROM compute_phases_daily('-infinity', local_day(aggregates_watermark(), {time_zone}));

CREATE VIEW phases_daily AS
SELECT * FROM materialized_phases_daily
UNION ALL
SELECT * FROM compute_phases_daily(local_day(aggregates_watermark(), {time_zone}), 'infinity');
