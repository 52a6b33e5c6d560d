UPDATE trd.api_call_logs
SET avg_response_time = %(average)s, max_response_time = %(longest)s, min_response_time = %(shortest)s, updated_at = now()
WHERE service_id = %(service)s AND date = %(date)s
RETURNING *
