-- Events are kept for as long as clients may request them with ?since=, those of editing for an hour. The last event is never deleted,
-- since it holds the last number. Parked checks are kept as long as checks are.
WITH old_events AS (
    DELETE FROM events
    WHERE (occurred_at < now() - %(event_retention)s::interval
           OR (occurred_at < now() - interval '1 hour' AND event IN ('incident-editing', 'auto-save', 'user-left')))
      AND seq < (SELECT max(seq) FROM events)
), old_parked AS (
    DELETE FROM parked_checks WHERE parked_at < now() - (SELECT retention FROM installation)
)
DELETE FROM announced_days WHERE day < (now() - (SELECT retention FROM installation))::date
