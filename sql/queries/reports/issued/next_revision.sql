-- The number of the next report of these days and this scope.
SELECT coalesce(max(revision), 0) + 1
FROM sla_reports
WHERE first_day = %(first_day)s AND last_day = %(last_day)s AND md5(scope::text) = md5(%(scope)s::jsonb::text)
