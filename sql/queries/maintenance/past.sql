-- One page of past occurrences, latest first, including internal ones.
SELECT window_id, title, public, maintenance_occurrences.starts_at, maintenance_occurrences.ends_at, service_ids
FROM maintenance_occurrences
JOIN maintenance_windows ON id = window_id
WHERE maintenance_occurrences.ends_at <= now()
ORDER BY maintenance_occurrences.ends_at DESC, window_id
LIMIT %(limit)s OFFSET %(offset)s
