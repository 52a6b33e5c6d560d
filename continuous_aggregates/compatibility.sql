-- Probers of release 0.1 call these two procedures periodically.
CREATE OR REPLACE PROCEDURE advance_aggregates() LANGUAGE plpgsql AS $$ BEGIN CALL fold_checks(); END $$;

-- Does nothing: late checks are added to the rollups when they are recorded.
CREATE OR REPLACE PROCEDURE refresh_aggregates(low timestamptz, high timestamptz) LANGUAGE plpgsql AS $$ BEGIN END $$;
