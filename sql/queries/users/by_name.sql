-- The user with this name or e-mail address.
SELECT id, username, email, role::text AS role, active, created_at, last_login_at
FROM users
WHERE lower(username) = lower(%(login)s) OR lower(email) = lower(%(login)s)
