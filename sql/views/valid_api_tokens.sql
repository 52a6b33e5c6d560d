-- The API tokens that are valid now, with their role, which is at most that of their owner. This rule is in no other
-- place.
CREATE VIEW valid_api_tokens AS
SELECT api_tokens.id                             AS token_id,
       users.id                                  AS user_id,
       users.username || '/' || api_tokens.name  AS name,
       least(api_tokens.role, users.role)        AS role,
       api_tokens.created_at,
       api_tokens.expires_at,
       api_tokens.last_used_at
FROM api_tokens
JOIN users ON users.id = api_tokens.owner_id
WHERE api_tokens.revoked_at IS NULL
  AND (api_tokens.expires_at IS NULL OR api_tokens.expires_at > now())
  AND users.active;

COMMENT ON VIEW valid_api_tokens IS 'one row for each API token that is valid now, with its owner (user_id); without its secret or the hash of it';
