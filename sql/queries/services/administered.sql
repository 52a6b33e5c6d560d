-- Every service with its current state, for admins.
SELECT id, services.name, coalesce(services.group_name, '') AS group_name, check_config, services.enabled, services.public, declared_in,
       interval_seconds, state, checked_at
FROM services
JOIN service_status ON service_id = id
ORDER BY services.group_name NULLS FIRST, services.name, id
