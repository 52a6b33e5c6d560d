-- Adds a comment. Raises foreign_key_violation if there is no such incident.
SELECT incident_comment_event(add_comment(%(incident_id)s, %(author_id)s, %(author)s, %(text)s, %(public)s)) AS comment
