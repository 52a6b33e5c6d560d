-- Which engine this database has, and what it could have: `installed` once the schema is there.
SELECT to_regclass('installation') IS NOT NULL                                      AS installed,
       current_setting('server_version_num')::integer                               AS server_version,
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
           AND current_setting('shared_preload_libraries') LIKE '%timescaledb%'   AS available,
       current_setting('timescaledb.license', true)                                 AS license
