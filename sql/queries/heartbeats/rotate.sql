-- Replaces the key of a heartbeat. The audit log does not contain the key.
WITH rotated AS (
    UPDATE heartbeats SET key = gen_random_uuid() WHERE service_id = %(id)s RETURNING service_id
)
SELECT audit('rotate', 'heartbeat', service_id) FROM rotated
