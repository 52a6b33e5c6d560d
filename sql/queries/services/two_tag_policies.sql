-- The first of these services with two tags that both have an SLA policy at some time from now on; no row if there is none.
SELECT services.id AS service_id, own.subject AS tag, other.subject AS other
FROM services
JOIN sla_versions('infinity') AS own ON own.subject = ANY (tags)
JOIN sla_versions('infinity') AS other
  ON other.subject = ANY (tags) AND other.subject COLLATE "C" > own.subject
 AND other.during && own.during * tstzrange(present(), NULL)
WHERE services.id = ANY (%(ids)s) AND own.scope = 'tag' AND other.scope = 'tag' AND NOT own.ended AND NOT other.ended
ORDER BY service_id, own.subject, other.subject
LIMIT 1
