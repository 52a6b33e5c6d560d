-- With the rights of the owner of the tables: the worker calls it.
--
-- Keeps monthly partitions from the start of the retention to the end of next month. Older ones are dropped, but none
-- with checks that are not in the rollups yet. Partitions are not weekly, since planning takes 60 ms for sixty
-- partitions and a quarter of that for fourteen.
CREATE OR REPLACE PROCEDURE keep_partitions()
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
DECLARE
    oldest    CONSTANT timestamptz := date_trunc('month', present() - (SELECT retention FROM installation), 'UTC');
    month     timestamptz;
    partition text;
BEGIN
    -- One at a time: a migration and the worker may both call it.
    PERFORM pg_advisory_xact_lock(hashtextextended('sla-monitor partitions', 0));
    FOR month IN SELECT generate_series(oldest, present() + interval '1 month', interval '1 month', 'UTC') LOOP
        partition := 'checks_' || to_char(month AT TIME ZONE 'UTC', 'YYYYMM');
        IF to_regclass(partition) IS NULL THEN
            EXECUTE format('CREATE TABLE %I PARTITION OF checks FOR VALUES FROM (%L) TO (%L)', partition,
                           month, date_add(month, interval '1 month', 'UTC'));
        END IF;
    END LOOP;
    FOR partition IN SELECT inhrelid::regclass::text
                     FROM pg_inherits
                     WHERE inhparent = 'checks'::regclass
                       AND inhrelid::regclass::text
                           < 'checks_' || to_char(least(oldest, rollup_watermark()) AT TIME ZONE 'UTC', 'YYYYMM') LOOP
        EXECUTE format('DROP TABLE %s', partition);
    END LOOP;
END
$$;
