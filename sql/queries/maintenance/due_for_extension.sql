-- Some of the recurring windows whose occurrences are not written far enough ahead; those that another process has in hand
-- are left to it.
SELECT id, starts_at, ends_at, rrule, time_zone, expanded_until
FROM maintenance_windows
WHERE rrule IS NOT NULL AND deleted_at IS NULL AND expanded_until < %(ahead)s
ORDER BY expanded_until
LIMIT 100
FOR NO KEY UPDATE SKIP LOCKED
