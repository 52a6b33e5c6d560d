-- The draft of one user for one incident.
SELECT incident_id, data, base_version, saved_at
FROM incident_drafts
WHERE incident_id = %(incident_id)s AND user_id = %(user_id)s AND data IS NOT NULL
