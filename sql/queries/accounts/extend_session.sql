-- The session of a browser that is still used lasts as long again.
UPDATE sessions
SET expires_at = greatest(expires_at, now() + %(lifetime)s::interval)
WHERE id = %(session_id)s AND revoked_at IS NULL AND expires_at > now()
