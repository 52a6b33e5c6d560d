-- The fields of a new incident from a template, with those of its services that still exist, in the order of the
-- template.
SELECT title,
       severity,
       priority,
       ARRAY(SELECT named.id
             FROM unnest(affected_services) WITH ORDINALITY AS named (id, position)
             JOIN services ON services.id = named.id
             ORDER BY position) AS affected_services,
       incident_description     AS description,
       first_update             AS update
FROM templates
WHERE id = %(id)s
