-- The incident that was created with a key, and the hash of the request.
SELECT request_hash, incident_id FROM idempotency_keys WHERE actor_id = %(actor_id)s AND key = %(key)s
