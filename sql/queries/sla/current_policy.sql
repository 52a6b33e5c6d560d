-- The policy version that applies to a service now, or did as known at `known_at`, with its period at that time. No row without a policy.
SELECT applied.policy_id, applied.version, first_day, last_day
FROM (SELECT least(present(), coalesce(%(known_at)s::timestamptz, present())) AS moment) AS clock
CROSS JOIN LATERAL sla_applied(ARRAY[%(service_id)s::text], moment) AS applied
JOIN sla_policy_versions USING (policy_id, version)
CROSS JOIN LATERAL sla_period(applied.policy_id, applied.version, local_date(moment, time_zone)) AS period
WHERE during @> moment
