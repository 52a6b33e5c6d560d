-- Which of these sessions and API tokens are still good, and whose they are now: the same rules as by_session and by_token.
SELECT sessions.id AS credential_id, users.id AS user_id, users.username AS name, users.role::text AS role
FROM sessions
JOIN users ON users.id = sessions.user_id
WHERE sessions.id = ANY (%(sessions)s)
  AND sessions.revoked_at IS NULL
  AND sessions.expires_at > now()
  AND users.active
UNION ALL
SELECT api_tokens.id, users.id, users.username || '/' || api_tokens.name, least(api_tokens.role, users.role)::text
FROM api_tokens
JOIN users ON users.id = owner_id
WHERE api_tokens.id = ANY (%(tokens)s)
  AND revoked_at IS NULL
  AND (expires_at IS NULL OR expires_at > now())
  AND users.active
