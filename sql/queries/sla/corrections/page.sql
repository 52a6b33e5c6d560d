-- One page of the corrections that pass all filters that are not NULL, newest first.
SELECT id, scope, subject, effect, category, reason, starts_at, ends_at, rrule, time_zone, author, created_at, withdrawn_at,
       withdrawn_by
FROM sla_listed_corrections(%(service)s, %(start)s, %(end)s, %(withdrawn)s)
ORDER BY created_at DESC, id DESC
LIMIT %(limit)s OFFSET %(offset)s
