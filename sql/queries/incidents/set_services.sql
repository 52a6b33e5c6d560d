-- Sets the affected services of an incident; rows that stay are not written.
WITH removed AS (
    DELETE FROM incident_services WHERE incident_id = %(id)s AND service_id <> ALL (%(services)s)
)
INSERT INTO incident_services (incident_id, service_id)
SELECT %(id)s, service_id
FROM unnest(%(services)s::text[]) AS service_id
ON CONFLICT DO NOTHING
