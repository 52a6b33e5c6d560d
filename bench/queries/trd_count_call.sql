INSERT INTO trd.api_call_logs AS log (service_id, date, total_calls, success_calls, error_calls, avg_response_time,
                                      max_response_time, min_response_time, updated_at)
VALUES (%(service)s, %(date)s, 1, 1, 0, %(ms)s, %(ms)s, %(ms)s, now())
ON CONFLICT (service_id, date) DO UPDATE
SET total_calls = log.total_calls + 1, success_calls = log.success_calls + 1, error_calls = log.error_calls + 0,
    updated_at = now()
RETURNING *
