-- The maintenance of services of the report in the period, in the order of time, with the time of its first
-- announcement. Without `internal` only public windows.
SELECT window_id::text     AS id,
       title,
       occurrence.starts_at,
       occurrence.ends_at,
       (SELECT min(announced_at)
        FROM maintenance_announcements AS announced
        WHERE announced.window_id = occurrence.window_id
          AND span && tstzrange(occurrence.starts_at, occurrence.ends_at)) AS announced_at,
       affected            AS services
FROM maintenance_occurrences AS occurrence
JOIN maintenance_windows ON maintenance_windows.id = window_id
CROSS JOIN LATERAL (
    SELECT ARRAY(SELECT id FROM unnest(service_ids) AS id WHERE id = ANY (%(service_ids)s::text[]) ORDER BY id) AS affected
) AS concerned
WHERE tstzrange(occurrence.starts_at, occurrence.ends_at) && tstzrange(%(starts_at)s, %(ends_at)s)
  AND (public OR %(internal)s) AND created_at <= %(known_at)s
  AND cardinality(affected) > 0
ORDER BY occurrence.starts_at, title, window_id
LIMIT %(limit)s
