-- The state of one heartbeat.
SELECT service_id, key AS ping_key, last_ping_at, last_event, last_text, last_run_ms, started_at, due_at, late_at
FROM heartbeats
WHERE service_id = %(id)s
