-- Whether a value fits a JSON Schema, with the keywords that the schemas of check types use (sla_monitor/checks). Others are ignored.
CREATE OR REPLACE FUNCTION fits_schema(given jsonb, schema jsonb) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE AS
$$
DECLARE
    kind CONSTANT text := jsonb_typeof(given);
    size integer;
BEGIN
    IF schema ? 'anyOf' THEN
        RETURN EXISTS (SELECT FROM jsonb_array_elements(schema -> 'anyOf') AS one WHERE fits_schema(given, one));
    END IF;
    IF schema ? 'enum' AND NOT schema -> 'enum' @> jsonb_build_array(given) THEN
        RETURN false;
    END IF;
    IF schema ? 'type' AND schema ->> 'type' <> kind
        AND NOT (schema ->> 'type' = 'integer' AND kind = 'number' AND given::text ~ '^-?[0-9]+$') THEN
        RETURN false;
    END IF;
    CASE kind
        WHEN 'number' THEN
            RETURN given::numeric BETWEEN coalesce((schema -> 'minimum')::numeric, given::numeric)
                                      AND coalesce((schema -> 'maximum')::numeric, given::numeric);
        WHEN 'string' THEN
            size := length(given #>> '{}');
            RETURN size BETWEEN coalesce((schema -> 'minLength')::integer, 0) AND coalesce((schema -> 'maxLength')::integer, size)
               AND (NOT schema ? 'x-one-line' OR fits_one_line(given #>> '{}'))
               AND (NOT schema ? 'pattern' OR given #>> '{}' ~ (schema ->> 'pattern'));
        WHEN 'array' THEN
            size := jsonb_array_length(given);
            RETURN size BETWEEN coalesce((schema -> 'minItems')::integer, 0) AND coalesce((schema -> 'maxItems')::integer, size)
               AND NOT EXISTS (SELECT FROM jsonb_array_elements(given) AS item
                               WHERE schema ? 'items' AND NOT fits_schema(item, schema -> 'items'));
        WHEN 'object' THEN
            RETURN NOT EXISTS (SELECT FROM jsonb_each(given) AS member
                               WHERE jsonb_typeof(schema -> 'additionalProperties') = 'object'
                                 AND NOT fits_schema(member.value, schema -> 'additionalProperties'));
        ELSE
            RETURN true;
    END CASE;
END
$$;

-- The first field of a configuration that does not fit the schema of its type: unknown, missing, or out of its limits. `type` if there is
-- no such type; NULL if the configuration is valid.
CREATE OR REPLACE FUNCTION misfit(config jsonb) RETURNS text
    LANGUAGE sql STABLE AS
$$
SELECT CASE
           WHEN schema IS NULL OR jsonb_typeof(config) <> 'object' THEN 'type'
           ELSE (
               SELECT name
               FROM (
                   SELECT jsonb_object_keys(config) AS name
                   UNION
                   SELECT jsonb_array_elements_text(schema -> 'required')
               ) AS fields
               WHERE schema -> 'properties' -> name IS NULL
                  OR NOT config ? name
                  OR NOT fits_schema(config -> name, schema -> 'properties' -> name)
               ORDER BY name
               LIMIT 1
           )
       END
FROM check_schema(config ->> 'type') AS schema
$$;

-- Checks the configuration of a service against the schema of its type. Raises check_violation, with a constraint name
-- that ends with the field, as a constraint of the table would. Programs of release 0.1 and administrators may write
-- the columns of HTTP instead: if only these change, check_config is set from them. Otherwise the columns are set from
-- check_config.
CREATE OR REPLACE FUNCTION keep_check_config() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    wrong text;
BEGIN
    IF NEW.check_config IS NULL
        OR TG_OP = 'UPDATE' AND NEW.check_config = OLD.check_config AND http_config(NEW) <> http_config(OLD) THEN
        NEW.check_config := http_config(NEW);
    END IF;
    wrong := misfit(NEW.check_config);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'new row for relation "services" violates the schema of its check type at "%"', wrong
            USING ERRCODE = 'check_violation', TABLE = 'services', CONSTRAINT = 'services_' || wrong;
    END IF;
    NEW.type := NEW.check_config ->> 'type';
    IF NEW.type = 'http' THEN
        NEW := jsonb_populate_record(NEW, NEW.check_config);
        NEW.check_config := http_config(NEW);
    ELSE
        NEW.endpoint_url := NULL;
    END IF;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER services_check_config
    BEFORE INSERT OR UPDATE ON services
    FOR EACH ROW EXECUTE FUNCTION keep_check_config();
