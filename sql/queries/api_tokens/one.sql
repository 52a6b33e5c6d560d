-- What a token is called.
SELECT name FROM api_tokens WHERE id = %(id)s
