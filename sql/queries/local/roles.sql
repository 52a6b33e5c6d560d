-- The role of the programs can become each of the roles with less rights.
DO $$
DECLARE
    role text;
BEGIN
    FOR role IN
        SELECT rolname
        FROM pg_roles
        WHERE rolname IN ('sla_prober', 'sla_worker', 'sla_api', 'sla_analyst') AND NOT pg_has_role('sla_monitor', oid, 'SET')
    LOOP
        EXECUTE format('GRANT %I TO sla_monitor WITH INHERIT FALSE, SET TRUE', role);
    END LOOP;
END
$$
