-- The services that an incident affects, deleted ones too.
SELECT service_id FROM incident_services WHERE incident_id = %(id)s
