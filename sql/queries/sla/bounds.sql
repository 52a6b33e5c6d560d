-- The bounds of the parts of a service in the days from `first_day` to `last_day`; NULL without a policy.
SELECT min(low) AS low, max(high) AS high
FROM sla_parts(ARRAY[%(service_id)s::text], %(first_day)s, %(last_day)s, coalesce(%(known_at)s::timestamptz, present()))
