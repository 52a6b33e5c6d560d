-- Which engine this database has, and what it could have: `installed` once the schema is there. A library that is preloaded has
-- defined its settings; shared_preload_libraries itself is not for everybody to read.
SELECT to_regclass('installation') IS NOT NULL                                          AS installed,
       current_setting('server_version_num')::integer                                   AS server_version,
       current_setting('server_encoding')                                               AS encoding,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
           AND coalesce(current_setting('timescaledb.disable_load', true) = 'off', false) AS available,
       current_setting('timescaledb.license', true)                                     AS license
