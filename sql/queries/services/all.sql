-- Every service with all of its fields, for admins.
SELECT id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name, tags, enabled,
       public, declared_in
FROM services
ORDER BY group_name NULLS FIRST, name, id
