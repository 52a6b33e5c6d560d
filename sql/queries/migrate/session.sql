-- Settings of a session that migrates. Its statements follow each other at once: if the process can no longer be
-- reached over the network, the session ends, and its lock is released.
SELECT set_config('lock_timeout', %(timeout)s, false),
       set_config('idle_session_timeout', %(timeout)s, false),
       set_config('idle_in_transaction_session_timeout', %(timeout)s, false),
       set_config('client_min_messages', 'warning', false)
