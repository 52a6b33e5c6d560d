-- The service levels of services in the days from `first_day` to `last_day`, `later` microseconds after now.
SELECT service_id,
       policy_id,
       version,
       name,
       levels.target::float8                                                            AS target,
       ends_at,
       uptime_percent(spent_seconds, up_seconds + degraded_seconds + down_seconds)      AS uptime,
       verdict,
       down_seconds::float8                                                             AS down_seconds,
       outages,
       budget_seconds::float8                                                           AS budget_seconds,
       left_seconds::float8                                                             AS left_seconds
FROM sla_levels(%(service_ids)s, %(first_day)s, %(last_day)s, present() + %(later)s * interval '1 microsecond') AS levels
JOIN sla_policy_versions USING (policy_id, version)
