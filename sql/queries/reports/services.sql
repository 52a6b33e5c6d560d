-- The services of a scope, in the order of the status page, with the local day of their first check. Without services,
-- groups and tags the scope is everything. Services that were deleted in the period, or later, are included under their id.
-- Without `internal` there are public services only.
WITH listed AS (
    SELECT DISTINCT ON (service_id) service_id, group_name, tags, public, valid
    FROM service_memberships
    ORDER BY service_id, valid DESC
)
SELECT service_id                          AS id,
       coalesce(services.name, service_id) AS name,
       listed.group_name,
       services.id IS NULL                 AS deleted,
       (SELECT local_date(min(starts_at), reporting_time_zone()) FROM episodes WHERE service_id = listed.service_id) AS first_day
FROM listed
LEFT JOIN services ON services.id = service_id
WHERE (listed.public OR %(internal)s)
  AND valid && tstzrange(local_day_start(%(first_day)s::date, reporting_time_zone()), NULL)
  AND (cardinality(%(services)s::text[] || %(groups)s::text[] || %(tags)s::text[]) = 0
       OR service_id = ANY (%(services)s) OR listed.group_name = ANY (%(groups)s) OR listed.tags && %(tags)s::text[])
ORDER BY listed.group_name NULLS FIRST, name, id
LIMIT %(limit)s
