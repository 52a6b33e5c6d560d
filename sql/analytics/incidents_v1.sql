CREATE VIEW analytics.incidents_v1 WITH (security_barrier) AS
SELECT incidents.id                       AS incident_id,
       title,
       incidents.status::text             AS status,
       severity::text                     AS severity,
       priority::text                     AS priority,
       public,
       author,
       incidents.created_at,
       timeline.identified_at,
       resolved_at,
       extract(epoch FROM coalesce(resolved_at, present()) - incidents.created_at) AS open_seconds,
       coalesce(timeline.updates, 0)      AS updates,
       coalesce(affected.service_ids, '{}') AS service_ids
FROM incidents
LEFT JOIN (
    SELECT incident_id, count(*) AS updates, min(created_at) FILTER (WHERE status = 'identified') AS identified_at
    FROM incident_updates
    GROUP BY incident_id
) AS timeline ON timeline.incident_id = incidents.id
LEFT JOIN (
    SELECT incident_id, array_agg(service_id ORDER BY service_id) AS service_ids
    FROM incident_services
    GROUP BY incident_id
) AS affected ON affected.incident_id = incidents.id;

COMMENT ON VIEW analytics.incidents_v1 IS
    'one row for each incident, internal ones too; without descriptions, updates, postmortems and comments, which may be private';
COMMENT ON COLUMN analytics.incidents_v1.incident_id IS 'the key, for example INC-2026-0001';
COMMENT ON COLUMN analytics.incidents_v1.title IS 'the title';
COMMENT ON COLUMN analytics.incidents_v1.status IS 'investigating, identified, monitoring or resolved';
COMMENT ON COLUMN analytics.incidents_v1.severity IS 'low, medium, high or critical';
COMMENT ON COLUMN analytics.incidents_v1.priority IS 'P1, P2 or P3';
COMMENT ON COLUMN analytics.incidents_v1.public IS 'whether public pages show the incident; false: it is internal';
COMMENT ON COLUMN analytics.incidents_v1.author IS 'the user who created it, by the name at that time';
COMMENT ON COLUMN analytics.incidents_v1.created_at IS 'when it was created';
COMMENT ON COLUMN analytics.incidents_v1.identified_at IS 'the time of its first update with the status identified; NULL: none';
COMMENT ON COLUMN analytics.incidents_v1.resolved_at IS 'when it was resolved; NULL: it is open';
COMMENT ON COLUMN analytics.incidents_v1.open_seconds IS 'seconds from its creation until it was resolved, or until now';
COMMENT ON COLUMN analytics.incidents_v1.updates IS 'the number of updates in its timeline';
COMMENT ON COLUMN analytics.incidents_v1.service_ids IS 'the affected services in order, some of which may have been deleted since';
