-- One page of all API tokens, newest first, revoked ones included.
SELECT api_tokens.id, name, api_tokens.role::text AS role, owner_id, users.username AS owner_name, api_tokens.created_at,
       expires_at, last_used_at, host(last_used_from) AS last_used_from, revoked_at
FROM api_tokens
JOIN users ON users.id = owner_id
ORDER BY api_tokens.created_at DESC, api_tokens.id
LIMIT %(limit)s OFFSET %(offset)s
