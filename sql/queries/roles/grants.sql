-- The GRANT statements for privileges that the roles of the programs lack in this database, on objects that the current user owns. What
-- is missing only: concurrent changes of one object would fail.
--
-- sla_api reads and writes all tables but the state of migrations. sla_worker reads all tables but those with secrets and private texts,
-- and writes the ones of its duties. sla_prober calls record_checks_v2(), which has the rights of the owner. sla_analyst reads the schema
-- analytics.
WITH roles AS (
    SELECT oid, rolname AS role FROM pg_roles WHERE rolname IN ('sla_prober', 'sla_worker', 'sla_api', 'sla_analyst')
), relations AS (
    SELECT oid, relname, relkind, nspname
    FROM (SELECT c.oid, relname, relkind, nspname
          FROM pg_class AS c
          JOIN pg_namespace ON pg_namespace.oid = relnamespace
          WHERE nspname IN ('public', 'analytics') AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
            AND pg_has_role(relowner, 'USAGE')) AS own
    WHERE NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = own.oid AND deptype = 'e')
), tables AS (
    SELECT 'sla_analyst' AS role, 'SELECT' AS privilege, oid FROM relations WHERE nspname = 'analytics'
    UNION ALL
    SELECT 'sla_api', 'SELECT', oid FROM relations WHERE nspname = 'public'
    UNION ALL
    SELECT 'sla_api', privilege, oid
    FROM relations
    CROSS JOIN unnest('{INSERT, UPDATE, DELETE}'::text[]) AS privilege
    WHERE nspname = 'public' AND relkind IN ('r', 'p') AND relname NOT IN ('schema_versions', 'installation')
    UNION ALL
    SELECT 'sla_worker', 'SELECT', oid
    FROM relations
    WHERE nspname = 'public'
      AND relname NOT IN ('users', 'sessions', 'refresh_tokens', 'api_tokens', 'known_addresses', 'secrets', 'valid_sessions',
                          'valid_api_tokens', 'incident_comments', 'incident_drafts')
    UNION ALL
    SELECT 'sla_worker', privilege, oid
    FROM relations
    CROSS JOIN unnest('{INSERT, UPDATE, DELETE}'::text[]) AS privilege
    WHERE nspname = 'public'
      AND relname IN ('checks', 'latest_checks', 'left_checks', 'parked_checks', 'service_states', 'outages', 'episodes', 'events',
                      'announced_days', 'touched_ranges', 'rollups', 'rollup_state', 'day_strips', 'heartbeats',
                      'maintenance_windows', 'maintenance_occurrences', 'maintenance_announcements', 'sla_corrections',
                      'sla_correction_spans', 'sla_alerts', 'former_episodes', 'sla_days', 'sla_strips', 'sla_changed_days',
                      'presence_leases', 'rate_limits')
    UNION ALL
    SELECT 'sla_worker', 'INSERT', oid FROM relations WHERE nspname = 'public' AND relname IN ('locations', 'audit_entries')
    UNION ALL
    SELECT 'sla_worker', 'DELETE', oid
    FROM relations
    WHERE nspname = 'public'
      AND relname IN ('sessions', 'refresh_tokens', 'known_addresses', 'idempotency_keys', 'audit_entries')
    UNION ALL
    SELECT 'sla_prober', 'SELECT', oid
    FROM relations
    WHERE nspname = 'public' AND relname IN ('services', 'schema_versions', 'installation')
    UNION ALL
    SELECT 'sla_prober', 'INSERT', oid FROM relations WHERE nspname = 'public' AND relname = 'locations'
), columns AS (
    -- Old sessions and tokens are found by their times.
    SELECT 'sla_worker' AS role, relations.oid, "column"
    FROM relations
    JOIN (VALUES ('sessions', 'expires_at'), ('sessions', 'revoked_at'), ('refresh_tokens', 'expires_at'),
                 ('known_addresses', 'last_login_at')) AS times (relation, "column") ON relation = relname
    WHERE nspname = 'public'
), routines AS (
    SELECT role, pg_proc.oid
    FROM pg_proc
    JOIN (VALUES ('sla_prober', 'record_checks_v2'), ('sla_prober', 'prepare_incoming_checks'), ('sla_worker', 'keep_partitions'))
        AS called (role, name) ON name = proname
    WHERE pronamespace = 'public'::regnamespace AND pg_has_role(proowner, 'USAGE')
    UNION ALL
    SELECT 'sla_analyst', pg_proc.oid
    FROM pg_proc
    WHERE pronamespace = to_regnamespace('analytics') AND pg_has_role(proowner, 'USAGE')
), sequences AS (
    -- number_event() sets it.
    SELECT role, privilege, c.oid
    FROM pg_class AS c
    CROSS JOIN unnest('{sla_api, sla_worker}'::text[]) AS role
    CROSS JOIN unnest('{USAGE, UPDATE}'::text[]) AS privilege
    WHERE c.oid = pg_get_serial_sequence('public.events', 'seq')::regclass AND pg_has_role(relowner, 'USAGE')
)
SELECT format('GRANT %s ON %s TO %I', privilege, tables.oid::regclass, role)
FROM tables
JOIN roles USING (role)
WHERE NOT has_table_privilege(roles.oid, tables.oid, privilege)
UNION ALL
SELECT format('GRANT SELECT (%I) ON %s TO %I', "column", columns.oid::regclass, role)
FROM columns
JOIN roles USING (role)
WHERE NOT has_column_privilege(roles.oid, columns.oid, "column", 'SELECT')
UNION ALL
SELECT format('GRANT EXECUTE ON ROUTINE %s TO %I', routines.oid::regprocedure, role)
FROM routines
JOIN roles USING (role)
WHERE NOT has_function_privilege(roles.oid, routines.oid, 'EXECUTE')
UNION ALL
SELECT format('GRANT %s ON SEQUENCE %s TO %I', privilege, sequences.oid::regclass, role)
FROM sequences
JOIN roles USING (role)
WHERE NOT has_sequence_privilege(roles.oid, sequences.oid, privilege)
UNION ALL
SELECT format('GRANT USAGE ON SCHEMA %I TO %I', nspname, role)
FROM pg_namespace
JOIN roles ON nspname = CASE role WHEN 'sla_analyst' THEN 'analytics' ELSE 'public' END
WHERE pg_has_role(nspowner, 'USAGE') AND NOT has_schema_privilege(roles.oid, pg_namespace.oid, 'USAGE')
UNION ALL
SELECT format('GRANT %s ON DATABASE %I TO %I', privilege, datname, role)
FROM pg_database
CROSS JOIN roles
CROSS JOIN unnest('{CONNECT, TEMPORARY}'::text[]) AS privilege
WHERE datname = current_database() AND pg_has_role(datdba, 'USAGE')
  AND (privilege = 'CONNECT' OR role IN ('sla_api', 'sla_worker'))
  AND NOT has_database_privilege(roles.oid, pg_database.oid, privilege)
