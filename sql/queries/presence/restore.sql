SELECT restore_presence(%(process_id)s, %(held)s::jsonb, %(lifetime)s)
