-- Creates an API token; no row if its owner has one of that name.
INSERT INTO api_tokens (owner_id, name, role, token_hash, expires_at)
VALUES (%(owner_id)s, %(name)s, %(role)s::user_role, %(token_hash)s, %(expires_at)s)
ON CONFLICT (owner_id, name) WHERE revoked_at IS NULL DO NOTHING
RETURNING id, created_at
