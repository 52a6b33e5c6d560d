-- The author of a comment.
SELECT author_id FROM incident_comments WHERE incident_id = %(incident_id)s AND id = %(id)s FOR UPDATE
