-- Stores further occurrences of a window, after the stored ones.
WITH extended AS (
    UPDATE maintenance_windows SET expanded_until = %(until)s WHERE id = %(id)s
    RETURNING affected_services
)
INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids)
SELECT %(id)s, starts_at, ends_at, affected_services
FROM unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS plan (starts_at, ends_at)
CROSS JOIN extended
ON CONFLICT (window_id, starts_at) DO NOTHING
