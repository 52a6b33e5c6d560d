-- Tells the others in its room, but not the socket `origin`; NULL where there is no such template.
SELECT iso_time(tell_template_update(%(template_id)s, %(user_id)s, %(user_name)s, %(data)s, %(origin)s)) AS told_at
