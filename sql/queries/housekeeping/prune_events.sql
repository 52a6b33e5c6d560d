-- The feed is kept as far back as a client may ask for with ?since=; parked checks are kept as long as checks are.
WITH old_events AS (
    DELETE FROM events WHERE occurred_at < now() - %(event_retention)s::interval
), old_parked AS (
    DELETE FROM parked_checks WHERE parked_at < now() - (SELECT retention FROM installation)
)
DELETE FROM announced_days WHERE day < (now() - (SELECT retention FROM installation))::date
