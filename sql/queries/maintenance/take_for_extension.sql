-- Locks one of those windows if it is still due; no row if another process has locked it.
SELECT id, starts_at, ends_at, rrule, time_zone, expanded_until
FROM maintenance_windows
WHERE id = %(id)s AND rrule IS NOT NULL AND deleted_at IS NULL AND expanded_until < %(ahead)s
FOR NO KEY UPDATE SKIP LOCKED
