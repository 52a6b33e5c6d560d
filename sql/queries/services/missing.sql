-- The positions, from 0, of the ids that belong to no service. Ids that the incident already has are left out: their
-- services may have been deleted since.
SELECT named.position - 1 AS position
FROM unnest(%(ids)s::text[]) WITH ORDINALITY AS named (id, position)
WHERE NOT EXISTS (SELECT FROM services WHERE services.id = named.id)
  AND NOT EXISTS (SELECT FROM incident_services AS kept
                  WHERE kept.incident_id = %(incident_id)s AND kept.service_id = named.id)
ORDER BY named.position
