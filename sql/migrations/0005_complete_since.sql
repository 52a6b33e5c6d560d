-- A retention that is made longer does not bring back what the shorter one has dropped: figures of that time are never
-- computed again, and no row of it comes in.
ALTER TABLE installation ADD COLUMN complete_since timestamptz NOT NULL DEFAULT '-infinity';

COMMENT ON COLUMN installation.complete_since IS 'before this, raw checks may have been dropped by an earlier, shorter retention';
