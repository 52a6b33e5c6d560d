-- Deletes a user with their sessions and API tokens. What they wrote keeps their name.
DELETE FROM users WHERE id = %(id)s RETURNING id
