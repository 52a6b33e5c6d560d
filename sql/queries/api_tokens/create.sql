-- Creates an API token and returns it; no row if its owner has a token of that name already.
WITH created AS (
    INSERT INTO api_tokens (owner_id, name, role, token_hash, expires_at)
    VALUES (%(owner_id)s, %(name)s, %(role)s::user_role, %(token_hash)s, %(expires_at)s)
    ON CONFLICT (owner_id, name) WHERE revoked_at IS NULL DO NOTHING
    RETURNING id, name, role, owner_id, created_at, expires_at, last_used_at, last_used_from, revoked_at
)
SELECT created.id, name, created.role::text AS role, owner_id, users.username AS owner_name, created.created_at, expires_at,
       last_used_at, host(last_used_from) AS last_used_from, revoked_at
FROM created
JOIN users ON users.id = owner_id
