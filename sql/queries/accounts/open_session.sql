-- Opens a session for a verified password; no row if the password has changed since.
SELECT id, username, email, role::text AS role
FROM open_session(%(session_id)s, %(user_id)s, %(verified_hash)s, %(same_password_hash)s, %(refresh_hash)s,
                  %(refresh_lifetime)s, %(session_lifetime)s, %(address)s::inet, %(user_agent)s)
