-- Withdraws a correction and returns it; no row if there is none that is not withdrawn.
UPDATE sla_corrections
SET withdrawn_at = present(), withdrawn_by = %(by)s
WHERE id = %(id)s AND withdrawn_at IS NULL
RETURNING id, scope, subject, effect, category, reason, starts_at, ends_at, rrule, time_zone, author, created_at, withdrawn_at,
          withdrawn_by
