-- Whom an operator means.
SELECT id, username, email, role::text AS role, active, created_at, last_login_at
FROM users
WHERE lower(username) = lower(%(login)s) OR lower(email) = lower(%(login)s)
