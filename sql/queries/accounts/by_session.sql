-- The user of a valid session.
SELECT user_id, username AS name, role::text AS role
FROM valid_sessions
WHERE session_id = %(session_id)s AND user_id = %(user_id)s
