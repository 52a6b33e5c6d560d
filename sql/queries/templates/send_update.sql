-- Sends an update to the template's room, except to the socket `origin`; NULL if there is no such template.
SELECT iso_time(append_template_update(%(template_id)s, %(user_id)s, %(user_name)s, %(data)s, %(origin)s)) AS sent_at
