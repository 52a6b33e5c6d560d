DELETE FROM incident_comments WHERE id = %(id)s
