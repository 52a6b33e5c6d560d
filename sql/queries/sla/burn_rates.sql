-- The burn rates of a service under a policy version, in the windows of 5 and 30 minutes, 1 and 6 hours and 3 days.
SELECT extract(epoch FROM length)::integer AS seconds, rate::float8 AS rate
FROM sla_burn_rates(%(service_id)s, %(policy_id)s, %(version)s, present())
ORDER BY length
