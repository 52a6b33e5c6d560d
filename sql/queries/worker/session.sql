-- A session for one round of a duty. The server looks every other second whether the worker still lives: what a worker that was killed
-- had begun ends then, so that the next one can begin it. Servers on Windows cannot look.
SELECT set_config('statement_timeout', %(timeout_ms)s, false),
       set_config('client_connection_check_interval', CASE WHEN version() ~* 'mingw|msvc|visual' THEN '0' ELSE '2s' END, false)
