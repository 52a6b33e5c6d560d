SELECT count(*) AS total FROM api_tokens
