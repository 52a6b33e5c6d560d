-- Raises foreign_key_violation where there is no such incident.
SELECT incident_comment_json(add_comment(%(incident_id)s, %(author_id)s, %(author)s, %(text)s, %(public)s), true) AS comment
