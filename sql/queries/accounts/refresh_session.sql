-- Replaces a refresh token by the next one.
SELECT outcome, username, email, role
FROM refresh_session(%(session_id)s, %(user_id)s, %(spent_hash)s, %(fresh_hash)s, %(refresh_lifetime)s,
                     %(session_lifetime)s)
