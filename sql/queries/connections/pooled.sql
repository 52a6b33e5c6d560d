-- What answers requests: a statement ends before the request's deadline does, and nobody who stopped half-way in a transaction
-- keeps its locks, that of the events among them. What a process that was killed had begun ends within 2 s; servers on Windows
-- cannot look whether it lives.
SELECT set_config('lock_timeout', '10s', false),
       set_config('statement_timeout', '14s', false),
       set_config('idle_in_transaction_session_timeout', '5s', false),
       set_config('client_connection_check_interval', CASE WHEN version() ~* 'mingw|msvc|visual' THEN '0' ELSE '2s' END, false)
