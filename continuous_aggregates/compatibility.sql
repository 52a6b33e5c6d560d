-- What probers of release 0.1 call in their housekeeping, for as long as one may still run.
CREATE OR REPLACE PROCEDURE advance_aggregates() LANGUAGE plpgsql AS $$ BEGIN CALL fold_checks(); END $$;

-- Late checks are in the rollups when they are recorded.
CREATE OR REPLACE PROCEDURE refresh_aggregates(low timestamptz, high timestamptz) LANGUAGE plpgsql AS $$ BEGIN END $$;
