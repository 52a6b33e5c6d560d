-- The drafts of one user, newest first.
SELECT incident_id, data, base_version, saved_at
FROM incident_drafts
WHERE user_id = %(user_id)s AND data IS NOT NULL
ORDER BY saved_at DESC
LIMIT 100
