-- Begins a simulation: no statement of this transaction takes longer than 5 s, and none waits for a lock longer than 2 s.
SELECT set_config('statement_timeout', '5s', true),
       set_config('lock_timeout', '2s', true)
