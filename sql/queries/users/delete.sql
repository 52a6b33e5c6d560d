-- Their sessions and API tokens go with them; what they wrote stays, under their name.
DELETE FROM users WHERE id = %(id)s RETURNING id
