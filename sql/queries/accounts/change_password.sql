-- Changes the password of the current user if the verified old one is still the same. All sessions end (users_sessions_end).
UPDATE users
SET password_hash = %(password_hash)s
WHERE id = %(user_id)s AND active AND password_hash = %(verified_hash)s
RETURNING id
