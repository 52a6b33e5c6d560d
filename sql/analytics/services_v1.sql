CREATE VIEW analytics.services_v1 WITH (security_barrier) AS
SELECT services.id                AS service_id,
       name,
       description,
       group_name,
       tags,
       type,
       public,
       enabled,
       demo,
       interval_seconds,
       timeout_ms,
       degraded_after_ms,
       service_states.state::text AS state,
       service_states.since       AS state_since,
       latest.checked_at,
       latest.certificate_expires_at,
       created_at,
       updated_at
FROM services
LEFT JOIN service_states ON service_states.service_id = services.id
LEFT JOIN (
    SELECT service_id,
           max(scheduled_at)                                                                 AS checked_at,
           coalesce(min(certificate_expires_at) FILTER (WHERE NOT expired), min(certificate_expires_at)) AS certificate_expires_at
    FROM latest_checks
    GROUP BY service_id
) AS latest ON latest.service_id = services.id;

COMMENT ON VIEW analytics.services_v1 IS
    'one row for each service that exists, private and paused ones too; without its address, headers, body and keys, which may be secret';
COMMENT ON COLUMN analytics.services_v1.service_id IS 'the key of the service; other views have rows of deleted services too';
COMMENT ON COLUMN analytics.services_v1.name IS 'the name that pages show';
COMMENT ON COLUMN analytics.services_v1.description IS 'the description that pages show; NULL: none';
COMMENT ON COLUMN analytics.services_v1.group_name IS 'the present group; NULL: none';
COMMENT ON COLUMN analytics.services_v1.tags IS 'the present tags';
COMMENT ON COLUMN analytics.services_v1.type IS 'the check type: http, tcp or heartbeat';
COMMENT ON COLUMN analytics.services_v1.public IS 'whether public pages show the service';
COMMENT ON COLUMN analytics.services_v1.enabled IS 'false while the service is paused';
COMMENT ON COLUMN analytics.services_v1.demo IS 'whether `sla-monitor demo` generated its checks';
COMMENT ON COLUMN analytics.services_v1.interval_seconds IS 'seconds between two checks of one location, as configured now';
COMMENT ON COLUMN analytics.services_v1.timeout_ms IS 'a check that takes longer fails, in milliseconds';
COMMENT ON COLUMN analytics.services_v1.degraded_after_ms IS 'a good check that takes longer is degraded, in milliseconds';
COMMENT ON COLUMN analytics.services_v1.state IS 'the present state: operational, degraded, outage, unknown or maintenance';
COMMENT ON COLUMN analytics.services_v1.state_since IS 'when the present state began';
COMMENT ON COLUMN analytics.services_v1.checked_at IS 'the scheduled time of the latest check from any location; NULL: never checked';
COMMENT ON COLUMN analytics.services_v1.certificate_expires_at IS
    'when the certificate expires that expires first, of those that locations saw last; NULL: no TLS';
COMMENT ON COLUMN analytics.services_v1.created_at IS 'when the service was created';
COMMENT ON COLUMN analytics.services_v1.updated_at IS 'when its configuration was last changed';
