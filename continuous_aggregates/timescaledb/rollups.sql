-- Two weeks a chunk, compressed once they are over: some 5 bytes a check for all tiers together.
SELECT create_hypertable('rollups', by_range('bucket', interval '14 days'), create_default_indexes => false);

ALTER TABLE rollups SET (
    timescaledb.enable_columnstore,
    timescaledb.segmentby = 'service_id, tier, location',
    timescaledb.orderby = 'bucket'
);

CREATE INDEX rollups_days ON rollups (bucket) WHERE tier = 'daily';
