-- The versions of one policy, or of all policies if the id is NULL: the newest version of each policy first, the policies in the order of
-- precedence. `is_current`: the version is valid now; `is_next`: it is the next one that will be.
SELECT sla_policies.id,
       sla_policies.scope,
       sla_policies.subject,
       created_at,
       version,
       valid_from,
       sla_policy_versions.ended,
       name,
       target,
       period,
       rolling_days,
       time_zone,
       service_hours,
       holiday_calendar,
       maintenance,
       announced_minutes,
       degraded_weight,
       unknown,
       shortest_outage_seconds,
       quorum,
       quorum_locations,
       least_coverage,
       objective_ms,
       objective_share,
       credits,
       group_method,
       author,
       recorded_at,
       coalesce(during @> present(), false) AS is_current,
       coalesce(lower(during) = min(lower(during)) FILTER (WHERE lower(during) > present()) OVER (PARTITION BY sla_policies.id),
                false)                      AS is_next
FROM sla_policies
JOIN sla_policy_versions ON policy_id = sla_policies.id
LEFT JOIN sla_versions('infinity') AS validity USING (policy_id, version)
WHERE %(id)s::uuid IS NULL OR sla_policies.id = %(id)s::uuid
ORDER BY array_position('{service,tag,group,everything}', sla_policies.scope), sla_policies.subject, sla_policies.id, version DESC
