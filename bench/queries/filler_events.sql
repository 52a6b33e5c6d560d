-- Large events in a room that only the stalled client has joined. They fill its buffers.
INSERT INTO events (event, room, data)
SELECT 'uptime-updated', 'uptime', jsonb_build_object('serviceId', repeat('x', 4000), 'date', '2026-01-01', 'status', 'o')
FROM generate_series(1, %(count)s)
