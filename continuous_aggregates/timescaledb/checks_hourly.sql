-- How far hours and days are materialised, see advance_aggregates; what comes after is computed when it is read.
CREATE TABLE aggregates_state (
    only_row    boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    advanced_to timestamptz NOT NULL
);

INSERT INTO aggregates_state (advanced_to) VALUES ('-infinity');

-- Hours of the reporting time zone.
CREATE MATERIALIZED VIEW checks_hourly
WITH (timescaledb.continuous, timescaledb.materialized_only = false, timescaledb.create_group_indexes = false) AS
SELECT time_bucket('1 hour', bucket, {time_zone}) AS bucket,
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
GROUP BY 1, service_id, location
WITH NO DATA;

CREATE INDEX ON checks_hourly (service_id, bucket);
