SELECT * FROM trd.uptime_records WHERE service_id = %(service)s AND date = %(date)s
