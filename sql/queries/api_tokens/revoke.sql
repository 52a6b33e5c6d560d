-- Revokes a token, if it is not revoked yet; the row is kept for the audit log.
UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s RETURNING id
