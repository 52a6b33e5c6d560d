-- Deletes an incident with its timeline, comments and drafts.
DELETE FROM incidents WHERE id = %(id)s
