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
LEFT JOIN (
    SELECT DISTINCT ON (service_id) *
    FROM latest_checks
    ORDER BY service_id, scheduled_at DESC, severity DESC, location
) AS latest ON latest.service_id = services.id;

COMMENT ON VIEW service_status IS 'one row a service: its state now, since when, and its last check';
