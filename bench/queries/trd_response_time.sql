INSERT INTO trd.api_response_times (service_id, response_time, status_code, endpoint, method, "timestamp")
VALUES (%(service)s, %(ms)s, 200, '/health', 'GET', %(time)s)
RETURNING *
