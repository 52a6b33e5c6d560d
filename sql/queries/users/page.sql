-- One page of the users that match the filters, sorted by name.
SELECT id, username, email, role::text AS role, active, created_at, last_login_at
FROM users
WHERE (%(role)s::user_role IS NULL OR role = %(role)s::user_role)
  AND (%(active)s::boolean IS NULL OR active = %(active)s::boolean)
  AND (strpos(lower(username), lower(%(search)s)) > 0 OR strpos(lower(email), lower(%(search)s)) > 0)
ORDER BY lower(username)
LIMIT %(limit)s OFFSET %(offset)s
