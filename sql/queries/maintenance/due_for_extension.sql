-- The recurring windows whose occurrences are not stored far enough in advance.
SELECT id
FROM maintenance_windows
WHERE rrule IS NOT NULL AND deleted_at IS NULL AND expanded_until < %(ahead)s
ORDER BY expanded_until
