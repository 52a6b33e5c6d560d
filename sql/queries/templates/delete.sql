DELETE FROM templates WHERE id = %(id)s
