-- True where there was no user yet.
SELECT create_first_admin(%(username)s, %(email)s, %(password_hash)s)
