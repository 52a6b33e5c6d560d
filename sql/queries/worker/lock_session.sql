-- The session that holds a worker's duties is a lease: the server ends it, and releases its locks, when the worker has sent nothing for
-- this long, because it hangs, its machine has lost power or the network has failed. The worker gives up its duties sooner.
SELECT set_config('idle_session_timeout', %(silence_ms)s, false),
       set_config('statement_timeout', %(silence_ms)s, false),
       set_config('tcp_keepalives_idle', '3', false),
       set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '2', false),
       set_config('tcp_user_timeout', %(silence_ms)s, false)
