-- The logins that are good now: not logged out of, not expired, their user active. One place for that rule; only
-- refresh_session() says it again, since it judges a row anew that it has waited for.
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
