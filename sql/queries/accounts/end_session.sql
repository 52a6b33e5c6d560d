-- Ends a session.
WITH ended AS (
    UPDATE sessions SET revoked_at = now() WHERE id = %(session_id)s AND revoked_at IS NULL RETURNING user_id
)
SELECT audit('logout', 'user', user_id::text) FROM ended
