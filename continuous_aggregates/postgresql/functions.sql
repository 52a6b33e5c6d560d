-- Recomputes every aggregate from `low` to `high` as far as it is materialised: what is above the watermark is computed when
-- it is read. The lock keeps record_checks out, which decides by the watermark whether a row has come late. The first level is
-- never computed from before the retention: the rows are gone there, the figures stay.
CREATE OR REPLACE PROCEDURE refresh_aggregates(low timestamptz, high timestamptz)
    LANGUAGE plpgsql AS
$$
DECLARE
    zone    CONSTANT text := (SELECT time_zone FROM installation);
    oldest  CONSTANT timestamptz := oldest_check();
    quarter CONSTANT interval := '15 minutes';
    origin  CONSTANT timestamptz := '2000-01-01 00:00Z';
    first   timestamptz;
    finish  timestamptz;
    edge    timestamptz;
BEGIN
    PERFORM lock_recording();
    edge := aggregates_watermark();

    first  := date_bin(quarter, greatest(low, oldest), origin);
    finish := least(date_bin(quarter, high, origin) + quarter, edge);
    DELETE FROM materialized_checks_15m WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_checks_15m SELECT * FROM compute_checks_15m(first, finish);
    DELETE FROM materialized_latency_15m WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_latency_15m SELECT * FROM compute_latency_15m(first, finish);
    DELETE FROM materialized_phases_15m WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_phases_15m SELECT * FROM compute_phases_15m(first, finish);

    -- Both ends are ends of buckets, which are not of one length when clocks are turned.
    first  := local_hour(low, zone);
    finish := least(local_hour(local_hour(high, zone) + interval '2 hours', zone), local_hour(edge, zone));
    DELETE FROM materialized_checks_hourly WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_checks_hourly SELECT * FROM compute_checks_hourly(first, finish);
    DELETE FROM materialized_latency_hourly WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_latency_hourly SELECT * FROM compute_latency_hourly(first, finish);
    DELETE FROM materialized_phases_hourly WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_phases_hourly SELECT * FROM compute_phases_hourly(first, finish);

    first  := local_day(low, zone);
    finish := least(local_day(local_day(high, zone) + interval '36 hours', zone), local_day(edge, zone));
    DELETE FROM materialized_checks_daily WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_checks_daily SELECT * FROM compute_checks_daily(first, finish);
    DELETE FROM materialized_latency_daily WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_latency_daily SELECT * FROM compute_latency_daily(first, finish);
    DELETE FROM materialized_phases_daily WHERE bucket >= first AND bucket < finish;
    INSERT INTO materialized_phases_daily SELECT * FROM compute_phases_daily(first, finish);
    COMMIT;
END
$$;

-- Materialises the quarters of an hour that have ended since the last call. Called by the prober's housekeeping, as
-- TimescaleDB's own policies do there. The first quarter is left to the live part for as long as checks of it may be on
-- their way.
CREATE OR REPLACE PROCEDURE advance_aggregates()
    LANGUAGE plpgsql AS
$$
DECLARE
    edge   timestamptz;
    target CONSTANT timestamptz := date_bin('15 minutes', now() - interval '2 minutes', '2000-01-01 00:00Z');
BEGIN
    PERFORM lock_recording();
    edge := aggregates_watermark();
    IF edge >= target THEN
        RETURN;
    END IF;
    IF edge = '-infinity' THEN
        edge := coalesce((SELECT min(scheduled_at) FROM checks WHERE scheduled_at < target), target);
    END IF;
    UPDATE aggregates_state SET watermark = target;
    CALL refresh_aggregates(edge, target);
END
$$;

-- Monthly partitions from the start of the retention to the end of next month; older ones are dropped. Not weekly: sixty
-- partitions take 60 ms to plan for where fourteen take a quarter of that.
CREATE OR REPLACE PROCEDURE keep_partitions()
    LANGUAGE plpgsql AS
$$
DECLARE
    oldest    CONSTANT timestamptz := date_trunc('month', now() - (SELECT retention FROM installation), 'UTC');
    month     timestamptz;
    partition text;
BEGIN
    -- One at a time: a migration and the housekeeping may both be at it.
    PERFORM pg_advisory_xact_lock(hashtextextended('sla-monitor partitions', 0));
    FOR month IN SELECT generate_series(oldest, now() + interval '1 month', interval '1 month', 'UTC') LOOP
        partition := 'checks_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM');
        IF to_regclass(partition) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF checks FOR VALUES FROM (%L) TO (%L)', partition,
                           month, date_add(month, interval '1 month', 'UTC'));
        END IF;
    END LOOP;
    FOR partition IN SELECT inhrelid::regclass::text
                     FROM pg_inherits
                     WHERE inhparent = 'checks'::regclass
                       AND inhrelid::regclass::text < 'checks_' || to_char(oldest AT TIME ZONE 'UTC', 'YYYYMM') LOOP
        EXECUTE format('DROP TABLE %s', partition);
    END LOOP;
END
$$;

-- The bucket of checks_daily that a moment belongs to.
CREATE OR REPLACE FUNCTION day_bucket(moment timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN local_day(moment, reporting_time_zone());
