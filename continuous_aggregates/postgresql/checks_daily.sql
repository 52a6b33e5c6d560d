-- The start of the local day. Where clocks are turned back to midnight (America/Havana, Atlantic/Azores), midnight comes
-- twice and date_trunc knows the second one only: the day begins with the first.
CREATE OR REPLACE FUNCTION local_day(moment timestamptz, zone text) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE
        WHEN (date_trunc('day', moment, zone) - interval '1 hour') AT TIME ZONE zone
                 < date_trunc('day', moment AT TIME ZONE zone)
            THEN date_trunc('day', moment, zone)
        ELSE date_trunc('day', moment, zone) - interval '1 hour'
    END;

-- Days of the reporting time zone: 23, 24 or 25 hours long. Today is computed from its hours when it is read.
CREATE TABLE materialized_checks_daily (LIKE materialized_checks_15m INCLUDING ALL);

CREATE FUNCTION compute_checks_daily(low timestamptz, high timestamptz) RETURNS SETOF materialized_checks_daily
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT local_day(bucket, {time_zone}) AS bucket,
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
    FROM checks_hourly
    WHERE bucket >= low AND bucket < high
    GROUP BY 1, service_id, location;
END;

-- Nothing in a new installation; all of the past when the reporting time zone has changed.
INSERT INTO materialized_checks_daily
SELECT * FROM compute_checks_daily('-infinity', local_day(aggregates_watermark(), {time_zone}));

CREATE VIEW checks_daily AS
SELECT * FROM materialized_checks_daily
UNION ALL
SELECT * FROM compute_checks_daily(local_day(aggregates_watermark(), {time_zone}), 'infinity');
