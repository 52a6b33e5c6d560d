-- Claims a key; waits for a transaction that is claiming the same key. No row if it is already claimed.
INSERT INTO idempotency_keys (actor_id, key, request_hash)
VALUES (%(actor_id)s, %(key)s, %(request_hash)s)
ON CONFLICT DO NOTHING
