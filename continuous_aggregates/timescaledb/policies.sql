-- What TimescaleDB does by itself, in the background. Applied again whenever the retention settings change.

SELECT remove_retention_policy('checks', if_exists => true);
SELECT add_retention_policy('checks', drop_after => {retention}::interval);

CALL remove_columnstore_policy('checks', if_exists => true);
CALL add_columnstore_policy('checks', after => {compress_after}::interval);

-- The start offset stays far below the retention (settings refuse less than 8 days of it): a refresh over dropped chunks would
-- erase the figures that were computed from them. What arrives later reaches the aggregates through touched_ranges. The end
-- offset leaves the open bucket alone. Hours and days have no policy, see refresh_aggregates.
SELECT remove_continuous_aggregate_policy(name, if_exists => true)
FROM unnest(ARRAY['checks_15m', 'checks_hourly', 'checks_daily', 'latency_15m', 'latency_hourly', 'latency_daily',
                  'phases_15m']) AS name;

SELECT add_continuous_aggregate_policy(name, start_offset => interval '2 days', end_offset => interval '15 minutes',
                                       schedule_interval => interval '5 minutes')
FROM unnest(ARRAY['checks_15m', 'latency_15m', 'phases_15m']) AS name;

-- The fine tiers are kept for good, compressed: hours and days of another time zone can be built from them at any time.
CALL remove_columnstore_policy('checks_15m', if_exists => true);
CALL add_columnstore_policy('checks_15m', after => interval '30 days');
CALL remove_columnstore_policy('latency_15m', if_exists => true);
CALL add_columnstore_policy('latency_15m', after => interval '30 days');
CALL remove_columnstore_policy('phases_15m', if_exists => true);
CALL add_columnstore_policy('phases_15m', after => interval '30 days');
