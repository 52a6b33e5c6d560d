-- Sets all fields of one service.
UPDATE services
SET (name, description, check_config, interval_seconds, timeout_ms, degraded_after_ms, retries, group_name, tags, enabled, public)
  = (given.name, given.description, given.check_config, given.interval_seconds, given.timeout_ms, given.degraded_after_ms,
     given.retries, given.group_name, given.tags, given.enabled, given.public)
FROM jsonb_populate_record(NULL::services, %(service)s) AS given
WHERE services.id = given.id
