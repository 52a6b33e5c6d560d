-- The incidents that were open in the period and affect a service of the report; with `everything`, also those that name
-- no service. Without `internal` only public ones. The oldest first.
SELECT id,
       title,
       status::text                       AS status,
       severity::text                     AS severity,
       created_at                         AS starts_at,
       resolved_at                        AS ends_at,
       affected                           AS services
FROM incidents
CROSS JOIN LATERAL (
    SELECT array_agg(service_id ORDER BY service_id) AS named,
           coalesce(array_agg(service_id ORDER BY service_id) FILTER (WHERE service_id = ANY (%(service_ids)s::text[])), '{}') AS affected
    FROM incident_services
    WHERE incident_id = incidents.id
) AS concerned
WHERE (public OR %(internal)s)
  AND created_at < %(ends_at)s AND created_at <= %(known_at)s AND (resolved_at IS NULL OR resolved_at >= %(starts_at)s)
  AND (cardinality(affected) > 0 OR (named IS NULL AND %(everything)s))
ORDER BY created_at, id
LIMIT %(limit)s
