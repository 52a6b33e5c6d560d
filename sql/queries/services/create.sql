-- Creates a service; no row if the id is taken.
INSERT INTO services (id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name,
                      tags, enabled, public)
SELECT id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name,
       tags, enabled, public
FROM jsonb_populate_record(NULL::services, %(service)s)
ON CONFLICT (id) DO NOTHING
RETURNING id
