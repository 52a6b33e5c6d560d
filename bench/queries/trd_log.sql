INSERT INTO trd.watch_server_logs (service_id, check_time, status_code, response_time, is_success, error_message, error_type)
VALUES (%(service)s, %(time)s, 200, %(ms)s, true, NULL, NULL)
RETURNING *
