-- Hours of the reporting time zone. The open hour is computed from latency_15m when it is read.
CREATE TABLE materialized_latency_hourly (LIKE materialized_latency_15m INCLUDING ALL);

CREATE FUNCTION compute_latency_hourly(low timestamptz, high timestamptz) RETURNS SETOF materialized_latency_hourly
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT local_hour(bucket, {time_zone}) AS bucket,
           service_id,
           location,
           bin,
           sum(checks)::bigint AS checks
    FROM latency_15m
    WHERE bucket >= low AND bucket < high
    GROUP BY 1, service_id, location, bin;
END;

-- Nothing in a new installation; all of the past when the reporting time zone has changed.
INSERT INTO materialized_latency_hourly
SELECT * FROM compute_latency_hourly('-infinity', local_hour(aggregates_watermark(), {time_zone}));

CREATE VIEW latency_hourly AS
SELECT * FROM materialized_latency_hourly
UNION ALL
SELECT * FROM compute_latency_hourly(local_hour(aggregates_watermark(), {time_zone}), 'infinity');
