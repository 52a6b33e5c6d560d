-- The sessions that are valid now: not logged out, not expired, their user active. This rule is in no other place but
-- refresh_session(), which checks a row again after it has waited for its lock.
CREATE VIEW valid_sessions AS
SELECT sessions.id AS session_id,
       users.id    AS user_id,
       users.username,
       users.role,
       sessions.created_at,
       sessions.expires_at
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE sessions.revoked_at IS NULL AND sessions.expires_at > now() AND users.active;

COMMENT ON VIEW valid_sessions IS 'one row for each session that is valid now, with its user as it is now';
