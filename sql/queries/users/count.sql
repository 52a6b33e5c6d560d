-- The number of users that match all filters that are not NULL: role, active, and a text in name or e-mail address.
SELECT count(*) AS total
FROM users
WHERE (%(role)s::user_role IS NULL OR role = %(role)s::user_role)
  AND (%(active)s::boolean IS NULL OR active = %(active)s::boolean)
  AND (strpos(lower(username), lower(%(search)s)) > 0 OR strpos(lower(email), lower(%(search)s)) > 0)
