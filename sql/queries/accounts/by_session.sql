-- Who a session belongs to, as long as it lives: not logged out of, not expired, its user active.
SELECT users.id AS user_id, users.username AS name, users.role::text AS role
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE sessions.id = %(session_id)s
  AND users.id = %(user_id)s
  AND sessions.revoked_at IS NULL
  AND sessions.expires_at > now()
  AND users.active
