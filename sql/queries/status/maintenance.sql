-- Public maintenance that is running or begins within a week, the next one first.
WITH announced AS (
    SELECT window_id, title, description, occurrence.starts_at, occurrence.ends_at, service_ids
    FROM maintenance_occurrences AS occurrence
    JOIN maintenance_windows ON maintenance_windows.id = window_id
    WHERE tstzrange(occurrence.starts_at, occurrence.ends_at) && tstzrange(present(), present() + interval '7 days')
      AND public AND deleted_at IS NULL
    ORDER BY occurrence.starts_at, title, window_id
    LIMIT 100
)
SELECT window_id::text      AS id,
       title,
       description,
       starts_at,
       ends_at,
       ARRAY(SELECT services.id
             FROM unnest(service_ids) WITH ORDINALITY AS named (id, position)
             JOIN services ON services.id = named.id
             WHERE services.public
             ORDER BY position) AS affected_services
FROM announced
ORDER BY starts_at, title, window_id
