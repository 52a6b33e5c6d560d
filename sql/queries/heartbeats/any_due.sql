-- Whether due.sql would return any heartbeat. Needs no recording lock.
SELECT EXISTS (
    SELECT
    FROM heartbeats
    JOIN services ON services.id = service_id
    WHERE enabled AND (least(late_at, covered_to) <= present() OR due_at IS NULL AND last_ping_at IS NOT NULL)
)
