-- Adds occurrences of a correction after the ones that are stored. The next one is due at `due_at`.
WITH extended AS (
    UPDATE sla_corrections SET due_at = %(due_at)s WHERE id = %(id)s
    RETURNING id
)
INSERT INTO sla_correction_spans (correction_id, span)
SELECT id, tstzrange(starts_at, ends_at)
FROM extended
CROSS JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS plan (starts_at, ends_at)
