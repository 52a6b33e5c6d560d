-- Settings of every session, which the database, the role or the environment may have set differently: formats, encoding, time zone,
-- isolation, and no timeouts but those of the programs. No JIT: compiling a statement takes longer than running it. Settings that an older
-- server does not have are left out.
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
