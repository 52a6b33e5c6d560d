-- Public maintenance, of all services or of one, that is planned, is running, or ended less than a week ago; the last
-- announced first. Each has up to five occurrences: those that run or come next, and after them the latest of the past week.
SELECT id,
       title,
       description,
       created_at,
       updated_at,
       occurrence_starts,
       occurrence_ends,
       ARRAY(SELECT name
             FROM services
             WHERE services.id = ANY (affected_services) AND services.public
             ORDER BY name, services.id) AS services
FROM maintenance_windows
CROSS JOIN LATERAL (
    SELECT array_agg(starts_at ORDER BY starts_at) AS occurrence_starts,
           array_agg(ends_at ORDER BY starts_at)   AS occurrence_ends
    FROM (
        SELECT starts_at, ends_at
        FROM maintenance_occurrences
        WHERE window_id = maintenance_windows.id AND ends_at > now() - interval '7 days'
        ORDER BY ends_at <= now(), CASE WHEN ends_at > now() THEN starts_at END, starts_at DESC
        LIMIT 5
    ) AS next
) AS planned
WHERE public AND deleted_at IS NULL AND occurrence_starts IS NOT NULL
  AND (%(service_id)s::text IS NULL OR %(service_id)s = ANY (affected_services))
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s
