-- The sessions of a user, the latest login first.
SELECT id, created_at, expires_at, host(address) AS address, user_agent
FROM sessions
WHERE user_id = %(user_id)s AND revoked_at IS NULL AND expires_at > now()
ORDER BY created_at DESC
LIMIT 50
