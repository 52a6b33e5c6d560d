-- One incident, as those inside see it or as everybody may; the whole timeline, or the newest of it.
SELECT incident_json(incidents, %(internal)s, %(whole)s) AS incident
FROM incidents
WHERE id = %(id)s AND (public OR %(internal)s)
