-- Deletes a service with its state. Its checks and outages stay until the end of their retention, and belong to a later
-- service with the same id.
DELETE FROM services WHERE id = %(id)s
