-- Events are kept for as long as clients may request them with ?since=, those of editing for an hour. The last event is never deleted,
-- since it holds the last number. Parked checks are kept as long as checks are. Rows that another program is deleting are skipped: two
-- programs that wait for each other's rows would be a deadlock.
WITH old_events AS (
    DELETE FROM events
    WHERE seq IN (
        SELECT seq
        FROM events
        WHERE (occurred_at < now() - %(event_retention)s::interval
               OR (occurred_at < now() - interval '1 hour' AND event IN ('incident-editing', 'auto-save', 'user-left')))
          AND seq < (SELECT max(seq) FROM events)
        FOR UPDATE SKIP LOCKED
    )
), old_parked AS (
    DELETE FROM parked_checks
    WHERE ctid = ANY (ARRAY(
        SELECT ctid
        FROM parked_checks
        WHERE parked_at < now() - (SELECT retention FROM installation)
        FOR UPDATE SKIP LOCKED
    ))
)
DELETE FROM announced_days
WHERE (service_id, day) IN (
    SELECT service_id, day
    FROM announced_days
    WHERE day < (now() - (SELECT retention FROM installation))::date
    FOR UPDATE SKIP LOCKED
)
