-- The state of one public service, or of all (service_id NULL), by group and name, and the time of its last check. No row for a
-- private or unknown service.
SELECT services.id,
       services.name,
       services.group_name                 AS "group",
       service_states.state::text          AS state,
       (SELECT max(scheduled_at) FROM latest_checks WHERE latest_checks.service_id = services.id) AS checked_at
FROM services
JOIN service_states ON service_states.service_id = services.id
WHERE services.public AND (%(service_id)s::text IS NULL OR services.id = %(service_id)s)
ORDER BY group_name NULLS FIRST, name, id
