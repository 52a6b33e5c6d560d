-- One row per incident: its severity, its duration, and the number of its updates.
CREATE VIEW incident_history AS
SELECT incidents.id                                        AS incident_id,
       incidents.title,
       incidents.status::text                              AS status,
       incidents.severity::text                            AS severity,
       incidents.priority::text                            AS priority,
       incidents.public,
       incidents.reporter,
       incidents.author,
       local_date(incidents.created_at, time_zone)        AS day,
       incidents.created_at,
       timeline.identified_at,
       incidents.resolved_at,
       extract(epoch FROM coalesce(incidents.resolved_at, now()) - incidents.created_at) AS open_seconds,
       coalesce(timeline.updates, 0)                       AS updates,
       coalesce(affected.service_ids, '{}')                AS affected_services
FROM incidents
CROSS JOIN installation
LEFT JOIN (
    SELECT incident_id,
           count(*)                                           AS updates,
           min(created_at) FILTER (WHERE status = 'identified') AS identified_at
    FROM incident_updates
    GROUP BY incident_id
) AS timeline ON timeline.incident_id = incidents.id
LEFT JOIN (
    SELECT incident_id, array_agg(service_id ORDER BY service_id) AS service_ids
    FROM incident_services
    GROUP BY incident_id
) AS affected ON affected.incident_id = incidents.id;

COMMENT ON VIEW incident_history IS 'one row for each incident, internal ones too; days are those of reporting_time_zone()';
COMMENT ON COLUMN incident_history.identified_at IS 'the time of the first update with this status; NULL without one';
COMMENT ON COLUMN incident_history.open_seconds IS 'from its creation until it was last resolved, or until now';
