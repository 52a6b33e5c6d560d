-- The services, groups and tags of a scope that no service has, or had when it was deleted. Without `internal`, private
-- services do not exist.
WITH listed AS (
    SELECT DISTINCT ON (service_id) service_id AS id, group_name, tags, public
    FROM service_memberships
    ORDER BY service_id, valid DESC
), visible AS (
    SELECT id, group_name, tags FROM listed WHERE public OR %(internal)s
)
SELECT 'service' AS field, name
FROM unnest(%(services)s::text[]) AS name
WHERE NOT EXISTS (SELECT FROM visible WHERE id = name)
UNION ALL
SELECT 'group', name
FROM unnest(%(groups)s::text[]) AS name
WHERE NOT EXISTS (SELECT FROM visible WHERE group_name = name)
UNION ALL
SELECT 'tag', name
FROM unnest(%(tags)s::text[]) AS name
WHERE NOT EXISTS (SELECT FROM visible WHERE name = ANY (tags))
