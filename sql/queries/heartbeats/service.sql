-- The service of a key.
SELECT service_id FROM heartbeats WHERE key = %(key)s
