-- The name of one service, if everybody may know of it.
SELECT id, name FROM services WHERE id = %(id)s AND public
