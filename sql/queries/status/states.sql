-- What one public service is now, or each of them (service_id NULL), by group and name, and when it was looked at last. No row
-- where there is no such service: a private one is none.
SELECT services.id,
       services.name,
       services.group_name                 AS "group",
       service_states.state::text          AS state,
       (SELECT max(scheduled_at) FROM latest_checks WHERE latest_checks.service_id = services.id) AS checked_at
FROM services
JOIN service_states ON service_states.service_id = services.id
WHERE services.public AND (%(service_id)s::text IS NULL OR services.id = %(service_id)s)
ORDER BY group_name NULLS FIRST, name, id
