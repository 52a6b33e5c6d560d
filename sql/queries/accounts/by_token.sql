-- The owner and the role of a valid API token. The time of its last use is stored at most once a minute.
WITH found AS (
    SELECT valid.token_id, valid.user_id, valid.name, valid.role::text AS role, valid.expires_at, valid.last_used_at
    FROM valid_api_tokens AS valid
    JOIN api_tokens ON api_tokens.id = valid.token_id
    WHERE api_tokens.token_hash = %(token_hash)s
), noted AS (
    UPDATE api_tokens
    SET last_used_at = now(), last_used_from = %(address)s::inet
    FROM found
    WHERE api_tokens.id = found.token_id
      AND (found.last_used_at IS NULL OR found.last_used_at < now() - interval '1 minute')
)
SELECT token_id, user_id, name, role, expires_at FROM found
