-- The services that an incident affects, including deleted ones.
SELECT service_id FROM incident_services WHERE incident_id = %(id)s
