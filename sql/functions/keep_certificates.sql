-- A step of record_incoming_checks, after store_checks: keeps the certificates that the checks of incoming_checks have seen. Dates that no real
-- certificate has are ignored.
CREATE OR REPLACE FUNCTION keep_certificates() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    -- The table of a prober of an earlier version has no such column.
    IF NOT EXISTS (SELECT FROM pg_attribute
                   WHERE attrelid = 'incoming_checks'::regclass AND attname = 'certificate_expires_at') THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM incoming_checks WHERE certificate_expires_at IS NOT NULL) THEN
        RETURN;
    END IF;
    UPDATE latest_checks
    SET certificate_expires_at = seen.certificate_expires_at,
        certificate_issuer     = left(seen.certificate_issuer, 100),
        certificate_seen_at    = seen.scheduled_at
    FROM (
        SELECT DISTINCT ON (service_id, location) *
        FROM incoming_checks
        WHERE certificate_expires_at BETWEEN '1970-01-01 00:00Z' AND '9999-01-01 00:00Z'
          AND scheduled_at BETWEEN oldest_check() AND present() + interval '5 minutes'
        ORDER BY service_id, location, scheduled_at DESC
    ) AS seen
    WHERE latest_checks.service_id = seen.service_id AND latest_checks.location = seen.location
      AND (certificate_seen_at < seen.scheduled_at OR certificate_seen_at IS NULL);
END
$$;

-- A changed target has another certificate, or none. Clears the stored certificate; those of older checks that are
-- recorded later are ignored.
CREATE OR REPLACE FUNCTION forget_certificates() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_recording();
    UPDATE latest_checks
    SET certificate_expires_at = NULL, certificate_issuer = NULL, certificate_seen_at = present()
    WHERE service_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_moved
    AFTER UPDATE ON services
    FOR EACH ROW WHEN (ROW (OLD.check_config -> 'endpoint_url', OLD.check_config -> 'host', OLD.check_config -> 'port')
                       IS DISTINCT FROM
                       ROW (NEW.check_config -> 'endpoint_url', NEW.check_config -> 'host', NEW.check_config -> 'port'))
    EXECUTE FUNCTION forget_certificates();
