-- The services for the variable `service`.
SELECT name AS __text, service_id AS __value FROM analytics.services_v1 ORDER BY name, service_id
