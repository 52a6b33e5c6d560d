-- Sessions are kept a day longer than they live, so that a token that comes late meets what it was. Used refresh tokens are
-- kept as long as they could be used: only so can it be noticed that one came back.
WITH old_sessions AS (
    DELETE FROM sessions WHERE least(expires_at, revoked_at) < now() - interval '1 day'
), old_refresh_tokens AS (
    DELETE FROM refresh_tokens WHERE expires_at < now() - interval '1 day'
), old_addresses AS (
    DELETE FROM known_addresses WHERE last_login_at < now() - interval '90 days'
)
DELETE FROM rate_limits WHERE resets_at < now() - interval '1 minute'
