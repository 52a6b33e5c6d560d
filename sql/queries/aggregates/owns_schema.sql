-- Whether the schema belongs to the current user, or to a role that it is a member of.
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'schema_versions'::regclass
