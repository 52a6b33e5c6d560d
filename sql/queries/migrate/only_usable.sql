-- Whether this database has the schema and is read-only now, and whether its schema belongs to a role that the current one is no member of.
SELECT current_setting('transaction_read_only')::boolean AND schema_versions IS NOT NULL,
       EXISTS (SELECT FROM pg_class WHERE oid = schema_versions AND NOT pg_has_role(relowner, 'USAGE'))
FROM to_regclass('schema_versions') AS schema_versions
