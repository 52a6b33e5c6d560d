SELECT count(*) AS total FROM outages WHERE service_id = %(service_id)s
