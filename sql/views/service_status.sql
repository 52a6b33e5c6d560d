-- What each service is now, and its last check.
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
       latest.error_message
FROM services
JOIN service_states ON service_states.service_id = services.id
LEFT JOIN LATERAL (
    SELECT *
    FROM latest_checks
    WHERE latest_checks.service_id = services.id
    ORDER BY scheduled_at DESC, severity DESC, location
    LIMIT 1
) AS latest ON true;

COMMENT ON VIEW service_status IS 'one row a service: its state now, since when, and its last check';
