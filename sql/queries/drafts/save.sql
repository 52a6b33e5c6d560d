-- Raises foreign_key_violation where there is no such incident.
SELECT save_draft(%(incident_id)s, %(user_id)s, %(data)s, %(base_version)s, NULL)
