-- The corrections with an occurrence that has begun and is not stored.
SELECT id
FROM sla_corrections
WHERE due_at < %(now)s AND withdrawn_at IS NULL
ORDER BY due_at
