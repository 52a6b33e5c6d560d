-- The policy version that applies to a service now, with its current period. No row without a policy.
SELECT applied.policy_id, applied.version, first_day, last_day
FROM sla_applied(ARRAY[%(service_id)s::text], present()) AS applied
JOIN sla_policy_versions USING (policy_id, version)
CROSS JOIN LATERAL sla_period(applied.policy_id, applied.version, local_date(present(), time_zone)) AS period
WHERE during @> present()
