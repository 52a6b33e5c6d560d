-- One page of the alerts that pass all filters that are not NULL, newest first. `service_name` is NULL if the service was deleted.
SELECT sla_alerts.id,
       service_id,
       services.name                     AS service_name,
       kind,
       severity,
       window_seconds,
       short_window_seconds,
       threshold::float8                 AS threshold,
       policy_id,
       version,
       sla_policy_versions.name          AS policy_name,
       target::float8                    AS target,
       burn_rate::float8                 AS burn_rate,
       left_seconds::float8              AS left_seconds,
       started_at,
       ended_at
FROM sla_alerts
JOIN sla_policy_versions USING (policy_id, version)
LEFT JOIN services ON services.id = service_id
WHERE (%(active)s::boolean IS NULL OR (ended_at IS NULL) = %(active)s) AND (%(service)s::text IS NULL OR service_id = %(service)s)
ORDER BY started_at DESC, sla_alerts.id DESC
LIMIT %(limit)s OFFSET %(offset)s
