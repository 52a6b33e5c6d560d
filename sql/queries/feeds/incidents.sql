-- The newest public incidents, of all services or of one, with the names of the affected public services.
SELECT incident_json(incidents, false, false) AS incident,
       ARRAY(SELECT name
             FROM incident_services
             JOIN services ON services.id = service_id
             WHERE incident_id = incidents.id AND services.public
             ORDER BY name, services.id)      AS services
FROM incidents
WHERE public
  AND (%(service_id)s::text IS NULL OR EXISTS (
      SELECT FROM incident_services WHERE incident_id = incidents.id AND service_id = %(service_id)s
  ))
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s
