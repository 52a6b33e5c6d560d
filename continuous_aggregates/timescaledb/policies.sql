-- What TimescaleDB does by itself, in the background. Applied again whenever the retention settings change.

SELECT remove_retention_policy('checks', if_exists => true);
SELECT add_retention_policy('checks', drop_after => {retention}::interval);

CALL remove_columnstore_policy('checks', if_exists => true);
CALL add_columnstore_policy('checks', after => {compress_after}::interval);

-- The rollups are kept for good, compressed. What comes late is added to compressed chunks too.
CALL remove_columnstore_policy('rollups', if_exists => true);
CALL add_columnstore_policy('rollups', after => interval '3 days');
