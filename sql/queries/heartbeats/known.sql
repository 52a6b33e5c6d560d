-- One heartbeat and the present time. The caller holds the recording lock.
SELECT service_id, check_config, interval_seconds, enabled, started_at, due_at, late_at, recorded_at, covered_to, failing,
       last_ping_at, present_clock() AS now
FROM heartbeats
JOIN services ON services.id = service_id
WHERE key = %(key)s
