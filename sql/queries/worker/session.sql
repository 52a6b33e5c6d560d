-- Settings for one round of a duty, on a connection of the worker's pool (see connections/pooled.sql for its settings
-- at other times): statements may wait and run for longer. Each is planned when it runs: the plan of an earlier round
-- would have been made for other times, and might read all chunks or partitions of checks.
SELECT set_config('statement_timeout', %(timeout_ms)s, false),
       set_config('lock_timeout', '0', false),
       set_config('plan_cache_mode', 'force_custom_plan', false)
