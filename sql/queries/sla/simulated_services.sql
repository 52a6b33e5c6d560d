-- The services of a simulation by name, at most `most`: those with one of `ids`, or if that is NULL, those that one of the
-- policies or corrections with these scopes and subjects is for.
SELECT id, name, (SELECT min(starts_at) FROM episodes WHERE service_id = services.id) AS first_check
FROM services
WHERE CASE
          WHEN %(ids)s::text[] IS NOT NULL THEN id = ANY (%(ids)s)
          ELSE EXISTS (SELECT
                       FROM unnest(%(scopes)s::text[], %(subjects)s::text[]) AS changed (scope, subject)
                       WHERE sla_concerns(scope, subject, id, group_name, tags))
      END
ORDER BY name, id
LIMIT %(most)s
