INSERT INTO users (username, email, password_hash, role)
VALUES (%(username)s, %(email)s, %(password_hash)s, %(role)s::user_role)
RETURNING id, username, email, role::text AS role, active, created_at, last_login_at
