-- Connections of pools: a statement ends before the request's deadline, and a transaction that is left idle ends and releases its locks,
-- such as that of the events. A statement of a process that was killed ends within 2 s; servers on Windows cannot check that.
SELECT set_config('lock_timeout', '10s', false),
       set_config('statement_timeout', '14s', false),
       set_config('idle_in_transaction_session_timeout', '5s', false),
       set_config('client_connection_check_interval', CASE WHEN version() ~* 'mingw|msvc|visual' THEN '0' ELSE '2s' END, false)
