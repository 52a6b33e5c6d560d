-- Locks and returns a window if it is still due for extension; a window that another process has locked is skipped.
SELECT id, starts_at, ends_at, rrule, time_zone, expanded_until
FROM maintenance_windows
WHERE id = %(id)s AND rrule IS NOT NULL AND deleted_at IS NULL AND expanded_until < %(ahead)s
FOR NO KEY UPDATE SKIP LOCKED
