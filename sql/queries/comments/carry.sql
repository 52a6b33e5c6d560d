-- Sets the extra fields of the comment that this transaction adds; they are sent to the room with it.
SELECT set_config('sla_monitor.comment_fields', %(fields)s, true)
