-- Claims a key. Waits for a concurrent transaction with the same key; no row if the key is claimed already.
INSERT INTO idempotency_keys (actor_id, key, request_hash)
VALUES (%(actor_id)s, %(key)s, %(request_hash)s)
ON CONFLICT DO NOTHING
