-- What was created under a key, and from what.
SELECT request_hash, incident_id FROM idempotency_keys WHERE actor_id = %(actor_id)s AND key = %(key)s
