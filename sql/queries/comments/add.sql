-- Adds a comment. Raises foreign_key_violation if there is no such incident.
SELECT told_comment(add_comment(%(incident_id)s, %(author_id)s, %(author)s, %(text)s, %(public)s)) AS comment
