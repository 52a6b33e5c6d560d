-- Since when there has been this installation: nothing in it is older.
SELECT min(applied_at) AS began FROM schema_versions
