-- The services of a scope, in the order of the status page, with the local day of their first check. Without services,
-- groups and tags the scope is everything. Without `internal` it has public services only.
SELECT id,
       name,
       group_name,
       (SELECT local_date(min(starts_at), reporting_time_zone()) FROM episodes WHERE service_id = services.id) AS first_day
FROM services
WHERE (public OR %(internal)s)
  AND (cardinality(%(services)s::text[] || %(groups)s::text[] || %(tags)s::text[]) = 0
       OR id = ANY (%(services)s) OR group_name = ANY (%(groups)s) OR tags && %(tags)s::text[])
ORDER BY group_name NULLS FIRST, name, id
LIMIT %(limit)s
