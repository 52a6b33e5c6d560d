-- How many users have this role, are (not) active, and have a text in their name or e-mail; NULL is any.
SELECT count(*) AS total
FROM users
WHERE (%(role)s::user_role IS NULL OR role = %(role)s::user_role)
  AND (%(active)s::boolean IS NULL OR active = %(active)s::boolean)
  AND (strpos(lower(username), lower(%(search)s)) > 0 OR strpos(lower(email), lower(%(search)s)) > 0)
