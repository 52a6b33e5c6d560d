SELECT end_process_presence(%(process_id)s)
