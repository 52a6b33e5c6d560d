SELECT count(*) FROM api_tokens WHERE owner_id = %(owner_id)s AND revoked_at IS NULL
