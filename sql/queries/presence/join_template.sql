-- Enters a socket into a template's room; `seq` is NULL if there is no such template.
SELECT seq, user_count
FROM join_template(%(template_id)s, %(socket_id)s, %(process_id)s, %(user_id)s, %(user_name)s, %(lifetime)s)
