-- What a client has sent along with the comment that this transaction adds; its room gets it back.
SELECT set_config('sla_monitor.comment_fields', %(fields)s, true)
