-- What every session of ours relies on, whatever the database, the role or the environment would set: how values are written, in
-- which encoding and zone, how statements are isolated, and that nothing is cut off that has no limit of ours. Statements are short:
-- compiling one takes longer than running it. What an older server does not have is left out.
SELECT set_config(name, value, false)
FROM (VALUES ('client_encoding', 'UTF8'),
             ('datestyle', 'ISO, YMD'),
             ('intervalstyle', 'postgres'),
             ('timezone', 'UTC'),
             ('bytea_output', 'hex'),
             ('extra_float_digits', '1'),
             ('standard_conforming_strings', 'on'),
             ('transform_null_equals', 'off'),
             ('array_nulls', 'on'),
             ('default_transaction_isolation', 'read committed'),
             ('default_transaction_deferrable', 'off'),
             ('statement_timeout', '0'),
             ('lock_timeout', '0'),
             ('transaction_timeout', '0'),
             ('idle_in_transaction_session_timeout', '0'),
             ('idle_session_timeout', '0'),
             ('jit', 'off')) AS relied_on (name, value)
WHERE current_setting(name, true) IS NOT NULL
