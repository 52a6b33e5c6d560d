-- One incident, as those inside see it or as everybody may.
SELECT incident_json(incidents, %(internal)s) AS incident
FROM incidents
WHERE id = %(id)s AND (public OR %(internal)s)
