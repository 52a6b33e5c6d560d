-- The services that are not operational, those in the worst state first.
SELECT service_id, name AS "Service", group_name AS "Group", coalesce(state, 'unknown') AS "State", state_since AS "Since"
FROM analytics.services_v1
WHERE enabled AND coalesce(state, 'unknown') <> 'operational'
ORDER BY array_position('{outage,degraded,unknown,maintenance}', coalesce(state, 'unknown')), state_since
LIMIT 100
