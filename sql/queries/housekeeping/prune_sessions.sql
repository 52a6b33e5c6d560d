-- Sessions are kept for a day after their end, so that a late request with their token gets the right error. Used refresh tokens are kept
-- until they would have expired, so that their reuse is noticed.
WITH old_sessions AS (
    DELETE FROM sessions WHERE least(expires_at, revoked_at) < now() - interval '1 day'
), old_refresh_tokens AS (
    DELETE FROM refresh_tokens WHERE expires_at < now() - interval '1 day'
), old_addresses AS (
    DELETE FROM known_addresses WHERE last_login_at < now() - interval '90 days'
)
DELETE FROM rate_limits WHERE resets_at < now() - interval '1 minute'
