-- What TimescaleDB does by itself, in the background. Applied again whenever the retention settings change.

SELECT remove_retention_policy('checks', if_exists => true);
SELECT add_retention_policy('checks', drop_after => {retention}::interval);

CALL remove_columnstore_policy('checks', if_exists => true);
CALL add_columnstore_policy('checks', after => {compress_after}::interval);

-- Start offsets stay far below the retention (settings refuse less than 8 days of it): a refresh over dropped chunks would
-- erase the figures that were computed from them. What arrives later than a start offset reaches the aggregates through
-- touched_ranges. End offsets leave the open bucket alone.
SELECT remove_continuous_aggregate_policy(name, if_exists => true)
FROM unnest(ARRAY['checks_15m', 'checks_hourly', 'checks_daily', 'latency_15m', 'latency_hourly', 'latency_daily']) AS name;

SELECT add_continuous_aggregate_policy(name, start_offset, end_offset, schedule_interval => interval '5 minutes')
FROM (VALUES ('checks_15m',     interval '2 days', interval '15 minutes'),
             ('latency_15m',    interval '2 days', interval '15 minutes'),
             ('checks_hourly',  interval '3 days', interval '1 hour'),
             ('latency_hourly', interval '3 days', interval '1 hour'),
             ('checks_daily',   interval '7 days', interval '1 day'),
             ('latency_daily',  interval '7 days', interval '1 day')) AS policy (name, start_offset, end_offset);

-- The fine tiers are kept for good, compressed: hours and days of another time zone can be built from them at any time.
CALL remove_columnstore_policy('checks_15m', if_exists => true);
CALL add_columnstore_policy('checks_15m', after => interval '30 days');
CALL remove_columnstore_policy('latency_15m', if_exists => true);
CALL add_columnstore_policy('latency_15m', after => interval '30 days');
