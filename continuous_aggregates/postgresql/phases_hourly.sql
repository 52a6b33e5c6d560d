-- Hours of the reporting time zone. The open hour is computed from phases_15m when it is read.
CREATE TABLE materialized_phases_hourly (LIKE materialized_phases_15m INCLUDING ALL);

CREATE FUNCTION compute_phases_hourly(low timestamptz, high timestamptz) RETURNS SETOF materialized_phases_hourly
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT local_hour(bucket, {time_zone}) AS bucket,
           service_id,
           location,
           sum(checks)::bigint    AS checks,
           sum(sum_ms)            AS sum_ms,
           sum(sum_dns_ms)        AS sum_dns_ms,
           sum(sum_connect_ms)    AS sum_connect_ms,
           sum(sum_tls_ms)        AS sum_tls_ms,
           sum(sum_first_byte_ms) AS sum_first_byte_ms
    FROM phases_15m
    WHERE bucket >= low AND bucket < high
    GROUP BY 1, service_id, location;
END;

-- Nothing in a new installation; all that phases_15m has when it is made later, as for another reporting time zone.
INSERT INTO materialized_phases_hourly
SELECT * FROM compute_phases_hourly('-infinity', local_hour(aggregates_watermark(), {time_zone}));

CREATE VIEW phases_hourly AS
SELECT * FROM materialized_phases_hourly
UNION ALL
SELECT * FROM compute_phases_hourly(local_hour(aggregates_watermark(), {time_zone}), 'infinity');
