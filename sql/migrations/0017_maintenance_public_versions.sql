-- A maintenance window has a version and a time for those who see only its public services, as incidents have: a change of what they
-- do not see does not show.
ALTER TABLE maintenance_windows
    ADD COLUMN public_version    integer     NOT NULL DEFAULT 0,
    ADD COLUMN public_updated_at timestamptz NOT NULL DEFAULT now();

COMMENT ON COLUMN maintenance_windows.public_version IS 'counts the changes of what the public sees of it, while it is public';
COMMENT ON COLUMN maintenance_windows.public_updated_at IS 'when public_version was made';

-- Not a change of the windows: no event, no entry in the audit log.
ALTER TABLE maintenance_windows DISABLE TRIGGER USER;
UPDATE maintenance_windows SET public_version = CASE WHEN public THEN version ELSE 0 END, public_updated_at = updated_at;
ALTER TABLE maintenance_windows ENABLE TRIGGER USER;
