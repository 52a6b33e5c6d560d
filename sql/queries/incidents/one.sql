-- One incident, with internal fields or without, and with the whole timeline or its newest updates.
SELECT incident_json(incidents, %(internal)s, %(whole)s) AS incident
FROM incidents
WHERE id = %(id)s AND (public OR %(internal)s)
