-- Whether this database has the schema and is read-only now.
SELECT current_setting('transaction_read_only')::boolean AND to_regclass('schema_versions') IS NOT NULL
