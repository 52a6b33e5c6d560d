-- Stores a draft and sends it to the room, except to the socket `origin`. Raises foreign_key_violation if there is no such incident.
SELECT iso_time(save_draft(%(incident_id)s, %(user_id)s, %(data)s, %(base_version)s, %(origin)s)) AS saved_at
