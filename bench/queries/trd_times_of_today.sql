SELECT response_time
FROM trd.api_response_times
WHERE service_id = %(service)s AND "timestamp" >= %(date)s AND "timestamp" < %(date)s + interval '1 day' AND status_code = 200
