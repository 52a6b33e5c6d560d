-- What is kept of checks for good: one row for each service, location and bucket, in three tiers. Quarters of an hour and hours
-- are UTC's, days the reporting zone's; a quarter divides the days and hours of every zone, so that days can be made again for
-- another one.
--
-- All figures can be added up: counts, seconds, sums in milliseconds, and the response times of good checks in logarithmic bins.
CREATE TYPE rollup_tier AS ENUM ('15m', 'hourly', 'daily');

CREATE TABLE rollups (
    bucket           timestamptz      NOT NULL,
    covered_seconds  bigint           NOT NULL,
    degraded_seconds bigint           NOT NULL,
    down_seconds     bigint           NOT NULL,
    sum_ms           double precision NOT NULL,
    measured_ms      double precision NOT NULL,
    dns_ms           double precision NOT NULL,
    connect_ms       double precision NOT NULL,
    tls_ms           double precision NOT NULL,
    first_byte_ms    double precision NOT NULL,
    tier             rollup_tier      NOT NULL,
    checks           integer          NOT NULL,
    degraded         integer          NOT NULL,
    failed           integer          NOT NULL,
    good             integer          NOT NULL,
    measured         integer          NOT NULL,
    min_ms           real,
    max_ms           real,
    service_id       text COLLATE "C" NOT NULL,
    location         text COLLATE "C" NOT NULL,
    bins             smallint[],
    bin_checks       integer[],
    PRIMARY KEY (service_id, tier, bucket, location)
);

COMMENT ON TABLE rollups IS 'figures of checks by bucket, kept for good; checks_15m, latency_15m and so on are the views to read';
COMMENT ON COLUMN rollups.good IS 'successful checks with a total time: those of sum_ms, min_ms, max_ms and the bins';
COMMENT ON COLUMN rollups.measured IS 'of those, the ones with a first byte: those of measured_ms and the sums of phases';
COMMENT ON COLUMN rollups.bins IS 'the bins that have checks (see response_bin), ascending; bin_checks has how many each';

-- One row. Raw checks scheduled before the watermark are in the rollups, all of them, at every moment; what is above is added when a
-- view is read. `legacy`: the views still stand on the aggregates of release 0.1, until the rollups have all of the past.
CREATE TABLE rollup_state (
    only_row  boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
    watermark timestamptz NOT NULL,
    legacy    boolean     NOT NULL
);

-- An installation of release 0.1 has its aggregates under these names.
INSERT INTO rollup_state (watermark, legacy)
SELECT CASE WHEN legacy THEN date_bin('15 minutes', present(), '2000-01-01 00:00Z') ELSE '-infinity' END, legacy
FROM (SELECT to_regclass('checks_15m') IS NOT NULL AS legacy) AS found;

-- The 90 closed days of each service up to `upto`, a bit a day, the last one lowest: what the status page shows of the past.
CREATE TABLE day_strips (
    service_id      text COLLATE "C" PRIMARY KEY,
    upto            date    NOT NULL,
    known           bit(90) NOT NULL,
    degraded        bit(90) NOT NULL,
    failed          bit(90) NOT NULL,
    down_seconds    bigint  NOT NULL,
    covered_seconds bigint  NOT NULL
);

COMMENT ON TABLE day_strips IS 'a stored result: the last closed days of each service; valid while `upto` is yesterday';
COMMENT ON COLUMN day_strips.down_seconds IS 'of the last 89 of the 90 days: with today they are 90';
