-- A correction.
SELECT id, scope, subject, effect, category, reason, starts_at, ends_at, rrule, time_zone, author, created_at, withdrawn_at,
       withdrawn_by
FROM sla_corrections
WHERE id = %(id)s
