-- What answers requests: a statement ends before the request's deadline does, and nobody who stopped half-way in a transaction
-- keeps its locks, that of the events among them.
SELECT set_config('lock_timeout', '10s', false),
       set_config('statement_timeout', '14s', false),
       set_config('idle_in_transaction_session_timeout', '5s', false)
