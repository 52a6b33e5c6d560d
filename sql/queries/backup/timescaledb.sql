-- The version of TimescaleDB in this database, NULL where it is not there, and whether the server offers the one asked for.
SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       EXISTS (
           SELECT
           FROM pg_available_extension_versions
           WHERE name = 'timescaledb' AND version = coalesce(%(version)s, version)
       )
