-- Whose key this is.
SELECT service_id FROM heartbeats WHERE key = %(key)s
