-- The server and the database, for the choice of the engine. `installed`: the schema exists. `available`: TimescaleDB
-- is installed and loaded. A preloaded library is recognised by its settings, since not every role may read
-- shared_preload_libraries.
SELECT to_regclass('installation') IS NOT NULL                                          AS installed,
       current_setting('server_version_num')::integer                                   AS server_version,
       current_setting('server_encoding')                                               AS encoding,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
           AND coalesce(current_setting('timescaledb.disable_load', true) = 'off', false) AS available,
       current_setting('timescaledb.license', true)                                     AS license
