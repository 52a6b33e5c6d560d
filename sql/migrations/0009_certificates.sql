-- The certificate of a service's server, as each location saw it last. It is looked at once an hour, so most checks tell nothing
-- of it; what is known stays until a newer look.
ALTER TABLE latest_checks
    ADD COLUMN certificate_expires_at timestamptz,
    ADD COLUMN certificate_issuer     text,
    ADD COLUMN certificate_seen_at    timestamptz;

COMMENT ON COLUMN latest_checks.certificate_issuer IS 'the organisation that issued it, by its own words';
COMMENT ON COLUMN latest_checks.certificate_seen_at IS 'the slot of the check that saw it; older checks are no news';
