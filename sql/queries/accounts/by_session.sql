-- Who a session belongs to, as long as it is good.
SELECT user_id, username AS name, role::text AS role
FROM valid_sessions
WHERE session_id = %(session_id)s AND user_id = %(user_id)s
