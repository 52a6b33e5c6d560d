-- Extends the session of a browser.
UPDATE sessions
SET expires_at = greatest(expires_at, now() + %(lifetime)s::interval)
WHERE id = %(session_id)s AND revoked_at IS NULL AND expires_at > now()
