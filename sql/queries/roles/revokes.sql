-- The REVOKE statements for privileges that PUBLIC has in this database and must not have. Temporary tables, objects in the schema public:
-- their triggers or names could be used against functions that run with the rights of the owner. Those functions that write. The jobs of
-- TimescaleDB: every role could register one. Only what is there and can be revoked is returned.
SELECT format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', datname)
FROM pg_database
WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')
  AND EXISTS (SELECT FROM aclexplode(coalesce(datacl, acldefault('d', datdba))) WHERE grantee = 0 AND privilege_type = 'TEMPORARY')
UNION ALL
SELECT format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', nspname)
FROM pg_namespace
WHERE nspname IN ('public', 'analytics') AND pg_has_role(nspowner, 'USAGE')
  AND EXISTS (SELECT FROM aclexplode(coalesce(nspacl, acldefault('n', nspowner))) WHERE grantee = 0 AND privilege_type = 'CREATE')
UNION ALL
SELECT format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', p.oid::regprocedure)
FROM pg_proc AS p
WHERE (pronamespace = to_regnamespace('analytics')
       OR (pronamespace = 'public'::regnamespace
           AND proname IN ('record_checks_v2', 'prepare_incoming_checks', 'keep_partitions'))
       OR (proname IN ('add_job', 'alter_job', 'delete_job', 'run_job')
           AND EXISTS (SELECT
                       FROM pg_depend
                       JOIN pg_extension ON pg_extension.oid = refobjid
                       WHERE objid = p.oid AND deptype = 'e' AND extname = 'timescaledb')))
  AND pg_has_role(proowner, 'USAGE')
  AND EXISTS (SELECT FROM aclexplode(coalesce(proacl, acldefault('f', proowner))) WHERE grantee = 0)
