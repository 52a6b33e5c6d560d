-- Changes the columns of one user that are not NULL.
UPDATE users
SET username      = coalesce(%(username)s, username),
    email         = coalesce(%(email)s, email),
    role          = coalesce(%(role)s::user_role, role),
    active        = coalesce(%(active)s, active),
    password_hash = coalesce(%(password_hash)s, password_hash)
WHERE id = %(id)s
RETURNING id, username, email, role::text AS role, active, created_at, last_login_at
