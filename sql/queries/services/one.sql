-- One service with all of its fields.
SELECT id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name, tags, enabled,
       public, declared_in
FROM services
WHERE id = %(id)s
