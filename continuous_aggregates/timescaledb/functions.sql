-- With the rights of the owner of the tables: the worker calls it.
--
-- TimescaleDB creates chunks when they are written. Old ones are dropped here and not by its retention policy, which
-- does not consider the watermark: checks that are not in the rollups yet are kept, however old they are.
CREATE OR REPLACE PROCEDURE keep_partitions()
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    IF NOT isfinite(rollup_watermark()) THEN
        RETURN;
    END IF;
    PERFORM drop_chunks('checks', older_than => least(present() - (SELECT retention FROM installation), rollup_watermark()));
END
$$;
