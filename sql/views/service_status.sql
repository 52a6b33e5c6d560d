-- The present state of each service, and its last check.
CREATE VIEW service_status AS
SELECT services.id                           AS service_id,
       services.name,
       services.description,
       services.group_name,
       services.tags,
       services.public,
       services.enabled,
       service_states.state::text            AS state,
       service_states.since,
       latest.scheduled_at                   AS checked_at,
       latest.total_ms,
       latest.severity::text                 AS severity,
       latest.error_type,
       latest.error_message,
       certificates.certificate_expires_at,
       certificates.certificate_issuer
FROM services
JOIN service_states ON service_states.service_id = services.id
LEFT JOIN (
    SELECT DISTINCT ON (service_id) *
    FROM latest_checks
    ORDER BY service_id, scheduled_at DESC, severity DESC, location
) AS latest ON latest.service_id = services.id
LEFT JOIN (
    -- The certificate that expires first; locations that still check the service come first.
    SELECT DISTINCT ON (service_id) service_id, certificate_expires_at, certificate_issuer
    FROM latest_checks
    WHERE certificate_expires_at IS NOT NULL
    ORDER BY service_id, expired, certificate_expires_at, location
) AS certificates ON certificates.service_id = services.id;

COMMENT ON VIEW service_status IS 'one row for each service: its present state and when it began, its last check, and its certificate';
COMMENT ON COLUMN service_status.certificate_expires_at IS 'of the certificate that the locations saw last; NULL without TLS';
