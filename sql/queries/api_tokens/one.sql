-- The name of a token.
SELECT name FROM api_tokens WHERE id = %(id)s
