-- The time of the installation.
SELECT min(applied_at) AS began FROM schema_versions
