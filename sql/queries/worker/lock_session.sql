-- The session that holds a worker's duties is a lease: it ends, and its locks with it, when its worker has been silent for so long,
-- because it hangs, its machine has lost power or the network between is gone. The worker gives its duties up sooner.
SELECT set_config('idle_session_timeout', %(silence_ms)s, false),
       set_config('statement_timeout', %(silence_ms)s, false),
       set_config('tcp_keepalives_idle', '3', false),
       set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '2', false),
       set_config('tcp_user_timeout', %(silence_ms)s, false)
