-- Whether the current user can become sla_analyst, and whether this database has the schema that this role reads.
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'sla_analyst' AND pg_has_role(oid, 'SET')),
       to_regnamespace('analytics') IS NOT NULL
