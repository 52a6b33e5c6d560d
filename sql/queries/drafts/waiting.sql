-- The drafts of a user, newest first, with the titles of their incidents.
SELECT incident_id, title, saved_at
FROM incident_drafts
JOIN incidents ON incidents.id = incident_id
WHERE user_id = %(user_id)s AND data IS NOT NULL
ORDER BY saved_at DESC
LIMIT 100
