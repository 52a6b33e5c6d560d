-- The terms of policy versions, with the holidays of the period.
SELECT policy_id                                  AS id,
       version,
       name,
       scope,
       subject,
       valid_from,
       target::float8                             AS target,
       period,
       rolling_days,
       time_zone,
       service_hours,
       holiday_calendar,
       ARRAY(SELECT day
             FROM holidays
             WHERE calendar = holiday_calendar AND day BETWEEN %(first_day)s AND %(last_day)s
             ORDER BY day)                        AS holidays,
       maintenance,
       announced_minutes,
       degraded_weight::float8                    AS degraded_weight,
       unknown,
       shortest_outage_seconds,
       quorum,
       quorum_locations,
       least_coverage::float8                     AS least_coverage,
       objective_ms,
       objective_share::float8                    AS objective_share,
       credits,
       group_method
FROM unnest(%(policy_ids)s::uuid[], %(versions)s::integer[]) AS applied (policy_id, version)
JOIN sla_policy_versions USING (policy_id, version)
JOIN sla_policies ON sla_policies.id = policy_id
ORDER BY name, policy_id, version
