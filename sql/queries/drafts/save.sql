-- Keeps it and tells the others in the room, but not the socket `origin`. Raises foreign_key_violation where there is no such
-- incident.
SELECT iso_time(save_draft(%(incident_id)s, %(user_id)s, %(data)s, %(base_version)s, %(origin)s)) AS saved_at
