-- Whose an API token is and what it may do: never more than its owner may now. Its use is noted once a minute.
WITH found AS (
    SELECT api_tokens.id,
           owner_id,
           users.username || '/' || api_tokens.name  AS name,
           least(api_tokens.role, users.role)::text  AS role,
           expires_at,
           last_used_at
    FROM api_tokens
    JOIN users ON users.id = owner_id
    WHERE token_hash = %(token_hash)s
      AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at > now())
      AND users.active
), noted AS (
    UPDATE api_tokens
    SET last_used_at = now(), last_used_from = %(address)s::inet
    FROM found
    WHERE api_tokens.id = found.id AND (found.last_used_at IS NULL OR found.last_used_at < now() - interval '1 minute')
)
SELECT id AS token_id, owner_id AS user_id, name, role, expires_at FROM found
