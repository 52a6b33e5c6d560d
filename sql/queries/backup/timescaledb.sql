-- The version of TimescaleDB in this database, NULL without it, and whether the server has the requested one.
SELECT (SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'),
       EXISTS (
           SELECT
           FROM pg_available_extension_versions
           WHERE name = 'timescaledb' AND version = coalesce(%(version)s, version)
       )
