-- The schema of the views and functions for analysts. CREATE SCHEMA needs a privilege even if the schema exists, and a superuser may
-- have created it for a role without this privilege.
DO $$
BEGIN
    IF to_regnamespace('analytics') IS NULL THEN
        CREATE SCHEMA analytics;
    END IF;
END
$$;

COMMENT ON SCHEMA analytics IS
    'read-only views and functions for analysts; the columns of a name with a version never change, a change gets the next version';
