-- Below this time all rows have been materialised into checks_15m; a row that arrives later is invisible there until its
-- range is refreshed.
CREATE OR REPLACE FUNCTION aggregates_watermark() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(mat_hypertable_id))
            FROM _timescaledb_catalog.continuous_agg
            WHERE user_view_name = 'checks_15m' AND user_view_schema = current_schema());

-- The start of the bucket of an aggregate of one level that a moment lies in.
CREATE OR REPLACE FUNCTION aggregate_bucket(level text, moment timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN CASE level
        WHEN '15m'    THEN time_bucket('15 minutes', moment)
        WHEN 'hourly' THEN time_bucket('1 hour', moment, reporting_time_zone())
        WHEN 'daily'  THEN time_bucket('1 day', moment, reporting_time_zone())
    END;

-- Recomputes every aggregate from `low` to `high`, each in a transaction of its own (a refresh cannot run inside one).
-- Never past the last bucket that ended a quarter of an hour ago: a refresh of a later one would hide rows that are still to
-- come. And the first level never before the retention: a refresh over dropped chunks would erase the figures that were
-- computed from them.
--
-- All of it is forced: what is to be refreshed we have noted ourselves. Left to itself a refresh recomputes what TimescaleDB has
-- noted as changed, and its notes are not complete. A transaction notes what is older than the last refresh when its commit
-- begins; what is refreshed over before that commit can be seen is in no note, and stays out for good. And from buckets with a
-- time zone a refresh leaves out the last one when the noted range ends at its first moment, as it does whenever the late rows
-- lie in the first quarter of an hour or the first hour of a day (timescale/timescaledb#10296).
CREATE OR REPLACE PROCEDURE refresh_aggregates(low timestamptz, high timestamptz)
    LANGUAGE plpgsql AS
$$
DECLARE
    oldest CONSTANT timestamptz := oldest_check();
    closed CONSTANT timestamptz := now() - interval '15 minutes';
    level  text;
    name   text;
    first  timestamptz;
    finish timestamptz;
BEGIN
    FOREACH level IN ARRAY ARRAY['15m', 'hourly', 'daily'] LOOP
        first := aggregate_bucket(level, CASE level WHEN '15m' THEN greatest(low, oldest) ELSE low END);
        -- The end of the bucket of `high`. Two hours and 36 hours, since clocks may be turned in between.
        finish := aggregate_bucket(level, aggregate_bucket(level, high)
            + CASE level WHEN '15m' THEN interval '15 minutes' WHEN 'hourly' THEN interval '2 hours' ELSE interval '36 hours' END);
        finish := least(finish, aggregate_bucket(level, closed));
        CONTINUE WHEN first >= finish;
        FOREACH name IN ARRAY ARRAY['checks_', 'latency_', 'phases_'] LOOP
            CALL refresh_continuous_aggregate(name || level, first, finish, force => true);
            COMMIT;
        END LOOP;
    END LOOP;
END
$$;

-- Materialises the quarters of an hour, hours and days that have ended since the last call. Called by the prober's
-- housekeeping; until then they are computed when they are read. The policies of the first level do its part of the work also
-- where no prober runs; hours and days have none, see refresh_aggregates.
CREATE OR REPLACE PROCEDURE advance_aggregates()
    LANGUAGE plpgsql AS
$$
DECLARE
    closed CONSTANT timestamptz := aggregate_bucket('15m', now() - interval '15 minutes');
    edge   timestamptz := (SELECT advanced_to FROM aggregates_state);
BEGIN
    IF edge >= closed THEN
        RETURN;
    END IF;
    IF edge = '-infinity' THEN
        edge := least((SELECT min(bucket) FROM checks_15m), closed);
    END IF;
    CALL refresh_aggregates(edge, closed);
    UPDATE aggregates_state SET advanced_to = closed;
END
$$;

-- Nothing to do: TimescaleDB creates chunks when they are written and drops them by policy.
CREATE OR REPLACE PROCEDURE keep_partitions() LANGUAGE plpgsql AS $$ BEGIN END $$;

-- The bucket of checks_daily that a moment belongs to.
CREATE OR REPLACE FUNCTION day_bucket(moment timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN time_bucket('1 day', moment, reporting_time_zone());
