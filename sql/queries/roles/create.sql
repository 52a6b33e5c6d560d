-- Creates the roles of the programs that the cluster does not have yet, if the current user may do that. Databases of one cluster may do
-- it at the same time. The user who creates a role can become it.
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
            IF NOT pg_has_role(missing, 'SET') THEN  -- a user with CREATEROLE may give itself the right to become the role
                EXECUTE format('GRANT %I TO CURRENT_USER WITH INHERIT FALSE, SET TRUE', missing);
            END IF;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
END
$$
