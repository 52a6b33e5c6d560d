SELECT id, username, email, role::text AS role, active, created_at, last_login_at FROM users WHERE id = %(id)s
