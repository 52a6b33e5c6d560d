-- Fifteen minutes divide every zone's hours, those at :30 and :45 too: the base of all days. Rows below the watermark are
-- kept in a table; what is above it is computed from the raw rows when it is read.
CREATE TABLE aggregates_state (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    watermark timestamptz NOT NULL
);

COMMENT ON COLUMN aggregates_state.watermark IS 'a quarter of an hour: raw rows before it are in the materialized tables';

INSERT INTO aggregates_state (watermark) VALUES ('-infinity');

CREATE FUNCTION aggregates_watermark() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT watermark FROM aggregates_state);

CREATE TABLE materialized_checks_15m (
    bucket           timestamptz      NOT NULL,
    service_id       text COLLATE "C" NOT NULL,
    location         text COLLATE "C" NOT NULL,
    checks           bigint           NOT NULL,
    operational      bigint           NOT NULL,
    degraded         bigint           NOT NULL,
    failed           bigint           NOT NULL,
    worst            severity         NOT NULL,
    covered_seconds  bigint           NOT NULL,
    degraded_seconds bigint           NOT NULL,
    down_seconds     bigint           NOT NULL,
    good             bigint           NOT NULL,
    sum_ms           double precision NOT NULL,
    min_ms           real,
    max_ms           real,
    PRIMARY KEY (service_id, bucket, location)
);

CREATE INDEX materialized_checks_15m_bucket ON materialized_checks_15m (bucket);

-- What one stretch of raw rows comes to; refresh_aggregates keeps its rows, checks_15m reads it for the open end.
CREATE FUNCTION compute_checks_15m(low timestamptz, high timestamptz) RETURNS SETOF materialized_checks_15m
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT date_bin('15 minutes', scheduled_at, timestamptz '2000-01-01 00:00Z')       AS bucket,
           service_id,
           location,
           count(*)                                                                  AS checks,
           count(*) FILTER (WHERE severity = 'o')                                    AS operational,
           count(*) FILTER (WHERE severity = 'po')                                   AS degraded,
           count(*) FILTER (WHERE severity = 'mo')                                   AS failed,
           max(severity)                                                             AS worst,
           sum(interval_seconds)                                                     AS covered_seconds,
           coalesce(sum(interval_seconds) FILTER (WHERE severity = 'po'), 0)         AS degraded_seconds,
           coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0)         AS down_seconds,
           count(total_ms) FILTER (WHERE success)                                    AS good,
           coalesce(sum(total_ms::double precision) FILTER (WHERE success), 0)       AS sum_ms,
           min(total_ms) FILTER (WHERE success)                                      AS min_ms,
           max(total_ms) FILTER (WHERE success)                                      AS max_ms
    FROM checks
    WHERE scheduled_at >= low AND scheduled_at < high
    GROUP BY 1, service_id, location;
END;

CREATE VIEW checks_15m AS
SELECT * FROM materialized_checks_15m
UNION ALL
SELECT * FROM compute_checks_15m(aggregates_watermark(), 'infinity');
