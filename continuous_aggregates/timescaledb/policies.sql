-- What TimescaleDB does by itself, in the background. Applied again whenever the retention settings change.

-- Raw checks of {retention} are kept; keep_partitions drops older ones.
SELECT remove_retention_policy('checks', if_exists => true);

CALL remove_columnstore_policy('checks', if_exists => true);
CALL add_columnstore_policy('checks', after => {compress_after}::interval);

-- The rollups are kept for good, compressed. What comes late is added to compressed chunks too.
CALL remove_columnstore_policy('rollups', if_exists => true);
CALL add_columnstore_policy('rollups', after => interval '3 days');
