-- The drafts of one user with their incidents, newest first.
SELECT incident_id, title, saved_at
FROM incident_drafts
JOIN incidents ON incidents.id = incident_id
WHERE user_id = %(user_id)s AND data IS NOT NULL
ORDER BY saved_at DESC
LIMIT 100
