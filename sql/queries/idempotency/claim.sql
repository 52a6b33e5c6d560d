-- Takes a key, which waits for whoever is just taking the same; no row where it is taken.
INSERT INTO idempotency_keys (actor_id, key, request_hash)
VALUES (%(actor_id)s, %(key)s, %(request_hash)s)
ON CONFLICT DO NOTHING
