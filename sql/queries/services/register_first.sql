-- Adds the services that a new installation starts with. Only once, so that a deleted one is not added again.
WITH first_start AS (
    INSERT INTO schema_versions (name, checksum) VALUES ('services/first', '') ON CONFLICT DO NOTHING RETURNING name
)
INSERT INTO services (id, name, description, endpoint_url, interval_seconds, timeout_ms, degraded_after_ms, enabled, public)
SELECT id, name, description, endpoint_url, interval_seconds, timeout_ms, degraded_after_ms, enabled, true
FROM jsonb_to_recordset(%(services)s) AS first
    (id text, name text, description text, endpoint_url text, interval_seconds integer, timeout_ms integer,
     degraded_after_ms integer, enabled boolean)
WHERE EXISTS (SELECT FROM first_start)
ON CONFLICT (id) DO NOTHING
