UPDATE trd.uptime_records SET status = %(status)s, response_time = %(ms)s, error_message = NULL
WHERE service_id = %(service)s AND date = %(date)s
RETURNING *
