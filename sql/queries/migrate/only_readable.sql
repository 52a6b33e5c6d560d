-- Whether this database has the schema and can only be read now.
SELECT current_setting('transaction_read_only')::boolean AND to_regclass('schema_versions') IS NOT NULL
