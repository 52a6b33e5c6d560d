-- Raw checks, one row each, in range partitions of one month (UTC), which `keep_partitions` creates ahead and drops by
-- retention. A check's time is when it was *scheduled*: fixed before the probe starts, so that writing the
-- same check twice stores it once.
CREATE TABLE checks (
    service_id       text COLLATE "C" NOT NULL,
    location         text COLLATE "C" NOT NULL,
    scheduled_at     timestamptz      NOT NULL,
    finished_at      timestamptz      NOT NULL,
    interval_seconds integer          NOT NULL,
    status_code      smallint,
    success          boolean          NOT NULL,
    severity         severity         NOT NULL,
    total_ms         real,
    dns_ms           real,
    connect_ms       real,
    tls_ms           real,
    first_byte_ms    real,
    attempts         smallint         NOT NULL,
    error_type       text,
    error_message    text,
    PRIMARY KEY (service_id, location, scheduled_at)
) PARTITION BY RANGE (scheduled_at);
