-- The maintenance windows with occurrences in a period, the next one first, each with its first 50 occurrences.
-- Anonymous clients get public windows with their public services.
SELECT id,
       title,
       description,
       ARRAY(SELECT services.id
             FROM unnest(affected_services) WITH ORDINALITY AS named (id, position)
             JOIN services ON services.id = named.id
             WHERE services.public OR %(internal)s
             ORDER BY position)                                      AS affected_services,
       starts_at,
       ends_at,
       rrule,
       time_zone,
       public,
       maintenance_status(id)                                        AS status,
       occurrence_starts,
       occurrence_ends,
       CASE WHEN %(internal)s THEN author END                        AS author,
       created_by,
       created_at,
       CASE WHEN %(internal)s THEN updated_at ELSE public_updated_at END AS updated_at,
       CASE WHEN %(internal)s THEN version ELSE public_version END   AS version
FROM maintenance_windows
JOIN (
    SELECT window_id,
           (array_agg(starts_at ORDER BY starts_at))[:50] AS occurrence_starts,
           (array_agg(ends_at ORDER BY starts_at))[:50]   AS occurrence_ends
    FROM maintenance_occurrences
    WHERE tstzrange(starts_at, ends_at) && tstzrange(%(from)s, %(to)s)
    GROUP BY window_id
) AS taking_place ON window_id = id
WHERE deleted_at IS NULL AND (public OR %(internal)s)
ORDER BY occurrence_starts[1], title, id
LIMIT %(limit)s
