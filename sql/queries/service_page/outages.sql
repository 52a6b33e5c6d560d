-- The outages of one service, newest first. The duration of an open outage is that until now. The error is the one it
-- began with.
SELECT started_at,
       ended_at,
       extract(epoch FROM coalesce(ended_at, present()) - started_at)::bigint AS duration_seconds,
       error_type,
       error_message
FROM outages
WHERE service_id = %(service_id)s
ORDER BY started_at DESC
LIMIT %(limit)s OFFSET %(offset)s
