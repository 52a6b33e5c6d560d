-- The number of alerts that pass all filters that are not NULL.
SELECT count(*) AS total
FROM sla_alerts
WHERE (%(active)s::boolean IS NULL OR (ended_at IS NULL) = %(active)s) AND (%(service)s::text IS NULL OR service_id = %(service)s)
