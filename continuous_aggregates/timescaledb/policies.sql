-- The background jobs of TimescaleDB. Applied again whenever the retention settings change.

-- Raw checks of {retention} are kept; keep_partitions drops older ones.
SELECT remove_retention_policy('checks', if_exists => true);

CALL remove_columnstore_policy('checks', if_exists => true);
CALL add_columnstore_policy('checks', after => {compress_after}::interval);

-- The rollups are kept without limit, compressed. Late checks are added to compressed chunks too.
CALL remove_columnstore_policy('rollups', if_exists => true);
CALL add_columnstore_policy('rollups', after => interval '3 days');
