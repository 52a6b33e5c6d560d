-- The services, groups and tags of a scope that no service has. Without `internal`, private services do not exist.
WITH visible AS (
    SELECT id, group_name, tags FROM services WHERE public OR %(internal)s
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
