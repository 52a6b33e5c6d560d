-- Adds a socket to an incident's room, or updates what it edits there; `seq` is NULL if there is no such incident.
SELECT seq, editors
FROM hold_presence(%(incident_id)s, %(socket_id)s, %(process_id)s, %(user_id)s, %(user_name)s, %(editing)s, %(field)s, %(lifetime)s)
