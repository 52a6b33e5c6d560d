-- Raw checks, one row each, in a hypertable of one chunk a UTC day. A check's time is when it was *scheduled*: fixed before
-- the probe starts, so that writing the same check twice stores it once.
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
) WITH (
    tsdb.hypertable,
    tsdb.partition_column = 'scheduled_at',
    tsdb.chunk_interval = '1 day',
    tsdb.create_default_indexes = false,
    tsdb.columnstore = false
);

-- Long, regular runs per batch: neighbours in time of one service from one place differ by little. When chunks are
-- compressed is said in continuous_aggregates/timescaledb/policies.sql.
ALTER TABLE checks SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'service_id, location',
    timescaledb.orderby = 'scheduled_at'
);
