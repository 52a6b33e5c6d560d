-- The time of the first migration of this database.
SELECT min(applied_at) AS began FROM schema_versions
