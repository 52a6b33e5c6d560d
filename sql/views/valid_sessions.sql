-- The logins that are valid now: not logged out, not expired, their user active. The only place of this rule, besides
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

COMMENT ON VIEW valid_sessions IS 'one row a login that is good now, and who they are now';
