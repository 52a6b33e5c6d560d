INSERT INTO trd.uptime_records (service_id, date, status, response_time, error_message)
VALUES (%(service)s, %(date)s, 'o', %(ms)s, NULL)
RETURNING *
