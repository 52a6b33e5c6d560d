-- The role of the programs was the superuser of the cluster. The superuser gets another name and password; a new role gets the old
-- name and password, the database, and the ownership of everything in it. Executed by the superuser, in one transaction.
DO $$
DECLARE
    verifier  text := (SELECT rolpassword FROM pg_authid WHERE rolname = 'sla_monitor');
    admin     oid := (SELECT oid FROM pg_roles WHERE rolname = 'sla_monitor');
    statement text;
BEGIN
    CREATE ROLE sla_monitor_renaming SUPERUSER;
    SET LOCAL SESSION AUTHORIZATION sla_monitor_renaming;  -- the role of the current session cannot be renamed
    ALTER ROLE sla_monitor RENAME TO sla_monitor_admin;
    EXECUTE format('ALTER ROLE sla_monitor_admin PASSWORD %L', current_setting('sla_monitor.admin_verifier'));
    CREATE ROLE sla_monitor LOGIN;
    EXECUTE format('ALTER ROLE sla_monitor PASSWORD %L', verifier);
    ALTER DATABASE sla_monitor OWNER TO sla_monitor;

    FOR statement IN
        WITH own AS (
            SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
        ), follows AS (  -- members of an extension stay unchanged, the sequence of a column follows its table
            SELECT classid, objid FROM pg_depend WHERE deptype = 'e' OR (deptype IN ('a', 'i') AND refobjsubid > 0)
        )
        SELECT format('ALTER SCHEMA %I OWNER TO sla_monitor', nspname)
        FROM pg_namespace
        WHERE oid IN (SELECT oid FROM own) AND nspowner = admin
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO sla_monitor', oid::regclass)
        FROM pg_class
        WHERE relnamespace IN (SELECT oid FROM own) AND relowner = admin AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
          AND ('pg_class'::regclass, oid) NOT IN (SELECT classid, objid FROM follows)
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO sla_monitor', oid::regprocedure)
        FROM pg_proc
        WHERE pronamespace IN (SELECT oid FROM own) AND proowner = admin
          AND ('pg_proc'::regclass, oid) NOT IN (SELECT classid, objid FROM follows)
        UNION ALL
        SELECT format('ALTER TYPE %s OWNER TO sla_monitor', t.oid::regtype)
        FROM pg_type AS t
        LEFT JOIN pg_class AS c ON c.oid = typrelid
        WHERE typnamespace IN (SELECT oid FROM own) AND typowner = admin
          AND (typtype IN ('e', 'd', 'r') OR (typtype = 'c' AND relkind = 'c'))
          AND ('pg_type'::regclass, t.oid) NOT IN (SELECT classid, objid FROM follows)
    LOOP
        EXECUTE statement;
    END LOOP;

    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    DROP ROLE sla_monitor_renaming;
END
$$
