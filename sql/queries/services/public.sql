-- The name of one public service.
SELECT id, name FROM services WHERE id = %(id)s AND public
