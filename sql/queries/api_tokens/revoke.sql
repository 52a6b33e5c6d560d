-- Revokes a token. The row is kept for the list and the audit log.
UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s RETURNING id
