-- The services that a file declares, with all of their fields.
SELECT id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name, tags, enabled,
       public, declared_in
FROM services
WHERE declared_in IS NOT NULL
ORDER BY id
