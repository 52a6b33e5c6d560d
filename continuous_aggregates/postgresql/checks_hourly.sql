-- The start of the local hour. Not date_trunc: Australia/Lord_Howe turns its clocks by half an hour, and the hour cut in two
-- that this makes twice a year would begin before the end of the one before it. As time_bucket of TimescaleDB, it is longer or
-- shorter instead, and the hours cover the time without overlap. Where an hour comes twice, these are two hours.
CREATE OR REPLACE FUNCTION local_hour(moment timestamptz, zone text) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN date_trunc('hour', moment AT TIME ZONE zone) AT TIME ZONE zone <= moment
            THEN date_trunc('hour', moment AT TIME ZONE zone) AT TIME ZONE zone
        ELSE date_trunc('hour', moment, zone)
    END;

-- Hours of the reporting time zone. The open hour is computed from checks_15m when it is read.
CREATE TABLE materialized_checks_hourly (LIKE materialized_checks_15m INCLUDING ALL);

CREATE FUNCTION compute_checks_hourly(low timestamptz, high timestamptz) RETURNS SETOF materialized_checks_hourly
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT local_hour(bucket, {time_zone}) AS bucket,
           service_id,
           location,
           sum(checks)::bigint           AS checks,
           sum(operational)::bigint      AS operational,
           sum(degraded)::bigint         AS degraded,
           sum(failed)::bigint           AS failed,
           max(worst)                    AS worst,
           sum(covered_seconds)::bigint  AS covered_seconds,
           sum(degraded_seconds)::bigint AS degraded_seconds,
           sum(down_seconds)::bigint     AS down_seconds,
           sum(good)::bigint             AS good,
           sum(sum_ms)                   AS sum_ms,
           min(min_ms)                   AS min_ms,
           max(max_ms)                   AS max_ms
    FROM checks_15m
    WHERE bucket >= low AND bucket < high
    GROUP BY 1, service_id, location;
END;

-- Nothing in a new installation; all of the past when the reporting time zone has changed.
INSERT INTO materialized_checks_hourly
SELECT * FROM compute_checks_hourly('-infinity', local_hour(aggregates_watermark(), {time_zone}));

CREATE VIEW checks_hourly AS
SELECT * FROM materialized_checks_hourly
UNION ALL
SELECT * FROM compute_checks_hourly(local_hour(aggregates_watermark(), {time_zone}), 'infinity');
