-- Creates the roles of the programs that the cluster does not have yet, if the current user may do that. Databases of one cluster may do
-- it at the same time.
DO $$
DECLARE
    missing text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolcreaterole)) THEN
        RETURN;
    END IF;
    FOR missing IN
        SELECT name
        FROM unnest('{sla_prober, sla_worker, sla_api, sla_analyst}'::name[]) AS name
        WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name)
    LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', missing);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$
