-- Revoked once; the row is kept, for those who look up later what it was.
UPDATE api_tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = %(id)s RETURNING id
