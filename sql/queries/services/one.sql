-- One service with all that can be set; locked against others who change it, where the transaction goes on. Not FOR UPDATE:
-- that would make a batch of its checks wait, and the two could wait for each other.
SELECT id, name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name, tags, enabled,
       public, declared_in
FROM services
WHERE id = %(id)s
FOR NO KEY UPDATE
