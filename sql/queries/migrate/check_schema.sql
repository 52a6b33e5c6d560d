-- The JSON Schema of the configuration of each check type.
CREATE OR REPLACE FUNCTION check_schema(type text) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN {schemas}::jsonb -> type
