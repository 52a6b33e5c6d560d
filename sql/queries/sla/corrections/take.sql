-- Locks and returns a correction if it is still due, with the start of its last stored occurrence; a correction that another
-- process has locked is skipped.
SELECT starts_at, ends_at, rrule, time_zone,
       (SELECT lower(span) FROM sla_correction_spans WHERE correction_id = sla_corrections.id ORDER BY span DESC LIMIT 1) AS stored_until
FROM sla_corrections
WHERE id = %(id)s AND due_at < %(now)s AND withdrawn_at IS NULL
FOR NO KEY UPDATE SKIP LOCKED
