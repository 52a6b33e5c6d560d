-- Stores the incident that was created with a key.
UPDATE idempotency_keys SET incident_id = %(incident_id)s WHERE actor_id = %(actor_id)s AND key = %(key)s
