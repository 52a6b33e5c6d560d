-- Days of the reporting time zone: 23, 24 or 25 hours long. Today is computed from its hours when it is read.
CREATE TABLE materialized_latency_daily (LIKE materialized_latency_15m INCLUDING ALL);

CREATE FUNCTION compute_latency_daily(low timestamptz, high timestamptz) RETURNS SETOF materialized_latency_daily
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT local_day(bucket, {time_zone}) AS bucket,
           service_id,
           location,
           bin,
           sum(checks)::bigint AS checks
    FROM latency_hourly
    WHERE bucket >= low AND bucket < high
    GROUP BY 1, service_id, location, bin;
END;

-- Nothing in a new installation; all of the past when the reporting time zone has changed.
INSERT INTO materialized_latency_daily
SELECT * FROM compute_latency_daily('-infinity', local_day(aggregates_watermark(), {time_zone}));

CREATE VIEW latency_daily AS
SELECT * FROM materialized_latency_daily
UNION ALL
SELECT * FROM compute_latency_daily(local_day(aggregates_watermark(), {time_zone}), 'infinity');
