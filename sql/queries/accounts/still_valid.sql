-- The valid ones of these sessions and API tokens, with their current users.
SELECT session_id AS credential_id, user_id, username AS name, role::text AS role
FROM valid_sessions
WHERE session_id = ANY (%(sessions)s)
UNION ALL
SELECT token_id, user_id, name, role::text
FROM valid_api_tokens
WHERE token_id = ANY (%(tokens)s)
