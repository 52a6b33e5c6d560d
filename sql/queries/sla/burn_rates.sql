-- The burn rates of a service under a policy version, in the windows of 5 and 30 minutes, 1 and 6 hours and 3 days until now, or until
-- `known_at`.
SELECT extract(epoch FROM length)::integer AS seconds, rate::float8 AS rate
FROM sla_burn_rates(%(service_id)s, %(policy_id)s, %(version)s, coalesce(%(known_at)s::timestamptz, present()))
ORDER BY length
