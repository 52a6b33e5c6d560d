-- Sets a new password if the old one is still the verified one. All sessions end (users_sessions_end).
UPDATE users
SET password_hash = %(password_hash)s
WHERE id = %(user_id)s AND active AND password_hash = %(verified_hash)s
RETURNING id
