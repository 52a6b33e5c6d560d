-- Nothing to do: TimescaleDB creates chunks when they are written and drops them by policy.
CREATE OR REPLACE PROCEDURE keep_partitions() LANGUAGE plpgsql AS $$ BEGIN END $$;
