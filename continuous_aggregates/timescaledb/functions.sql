-- Below this time all rows have been materialised into checks_15m; a row that arrives later is invisible there until its
-- range is refreshed.
CREATE OR REPLACE FUNCTION aggregates_watermark() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT _timescaledb_functions.to_timestamp(_timescaledb_functions.cagg_watermark(mat_hypertable_id))
            FROM _timescaledb_catalog.continuous_agg
            WHERE user_view_name = 'checks_15m' AND user_view_schema = current_schema());

-- Recomputes every aggregate from `low` to `high`, each level in a transaction of its own (a refresh cannot run inside one).
-- Never past the last whole bucket: a refresh of the open bucket would hide the rows that are still to come. And the first
-- level never before the retention: a refresh over dropped chunks would erase the figures that were computed from them.
CREATE OR REPLACE PROCEDURE refresh_aggregates(low timestamptz, high timestamptz)
    LANGUAGE plpgsql AS
$$
DECLARE
    zone   CONSTANT text := (SELECT time_zone FROM installation);
    oldest CONSTANT timestamptz := now() - (SELECT retention FROM installation) + interval '1 day';
    level  text;
    unit   text;
    first  timestamptz;
    finish timestamptz;
BEGIN
    FOREACH unit IN ARRAY ARRAY['15m', 'hourly', 'daily'] LOOP
        FOREACH level IN ARRAY ARRAY['checks_', 'latency_'] LOOP
            CASE unit
                WHEN '15m' THEN
                    first  := time_bucket('15 minutes', greatest(low, oldest));
                    finish := least(time_bucket('15 minutes', high) + interval '15 minutes',
                                    time_bucket('15 minutes', now()));
                WHEN 'hourly' THEN
                    first  := date_trunc('hour', low, zone);
                    finish := least(date_trunc('hour', high, zone) + interval '1 hour', date_trunc('hour', now(), zone));
                ELSE
                    first  := date_trunc('day', low, zone);
                    finish := least(date_trunc('day', (date_trunc('day', high, zone) + interval '36 hours'), zone),
                                    date_trunc('day', now(), zone));
            END CASE;
            IF first < finish THEN
                CALL refresh_continuous_aggregate(level || unit, first, finish);
                COMMIT;
            END IF;
        END LOOP;
    END LOOP;
END
$$;

-- Nothing to do: TimescaleDB creates chunks when they are written and drops them by policy.
CREATE OR REPLACE PROCEDURE keep_partitions() LANGUAGE plpgsql AS $$ BEGIN END $$;

-- Nothing to do: the refresh policies advance the aggregates.
CREATE OR REPLACE PROCEDURE advance_aggregates() LANGUAGE plpgsql AS $$ BEGIN END $$;
