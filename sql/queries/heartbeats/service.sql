-- The service that this key belongs to.
SELECT service_id FROM heartbeats WHERE key = %(key)s
