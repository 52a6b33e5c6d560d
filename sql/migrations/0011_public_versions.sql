-- What everybody sees of an incident has a version and a time of its own: saves that change nothing of it are not told.
ALTER TABLE incidents
    ADD COLUMN public_version    integer     NOT NULL DEFAULT 0,
    ADD COLUMN public_updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN shown_in          xid8        NOT NULL DEFAULT pg_current_xact_id();

COMMENT ON COLUMN incidents.public_version IS 'counts the transactions that changed what everybody may see, while it was public';
COMMENT ON COLUMN incidents.public_updated_at IS 'when public_version was made';
COMMENT ON COLUMN incidents.shown_in IS 'the last transaction that changed what everybody may see';

-- Not a change of the incidents: nothing is told, and nothing audited.
ALTER TABLE incidents DISABLE TRIGGER USER;
UPDATE incidents SET public_version = CASE WHEN public THEN version ELSE 0 END, public_updated_at = updated_at;
ALTER TABLE incidents ENABLE TRIGGER USER;

-- Updates and comments are numbered by the time at which they were written.
DROP SEQUENCE incident_update_ids;
