-- True if there was no user.
SELECT create_first_admin(%(username)s, %(email)s, %(password_hash)s)
