-- Sets the actor of this transaction. If none is set, the actor is the program or the psql user, by the application
-- name of the connection.
CREATE OR REPLACE FUNCTION act_as(actor_kind text, actor_id uuid, actor text, address inet, request_id text) RETURNS void
    LANGUAGE sql AS
$$
SELECT set_config('sla_monitor.actor', jsonb_build_object('kind', actor_kind, 'id', actor_id, 'name', actor,
                                                          'address', address, 'request', request_id)::text, true)
$$;

CREATE OR REPLACE FUNCTION current_actor(OUT kind text, OUT id uuid, OUT name text, OUT address inet, OUT request text)
    LANGUAGE sql STABLE AS
$$
SELECT coalesce(setting.actor ->> 'kind', 'program'),
       (setting.actor ->> 'id')::uuid,
       coalesce(setting.actor ->> 'name', nullif(current_setting('application_name'), ''), session_user),
       (setting.actor ->> 'address')::inet,
       setting.actor ->> 'request'
FROM (SELECT nullif(current_setting('sla_monitor.actor', true), '')::jsonb AS actor) AS setting
$$;

-- Writes an entry that is not the change of a row, for example a login or the reuse of a refresh token.
CREATE OR REPLACE FUNCTION audit(action text, object_type text, object_id text, before jsonb DEFAULT NULL, after jsonb DEFAULT NULL)
    RETURNS void
    LANGUAGE sql AS
$$
INSERT INTO audit_entries (actor_kind, actor_id, actor, address, request_id, action, object_type, object_id, before, after)
SELECT kind, id, name, address, request, action, object_type, object_id, before, after FROM current_actor()
$$;

-- A row as JSON, with the fields of its check_config in place of that column. Rows without this column are unchanged.
CREATE OR REPLACE FUNCTION with_check_fields("row" jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN "row" - 'check_config' || coalesce("row" -> 'check_config', '{}');

-- The fields of a check type that may hold secrets; empty if there is no such check type.
CREATE OR REPLACE FUNCTION secret_fields(type text) RETURNS text[]
    LANGUAGE plpgsql STABLE AS
$$
BEGIN
    RETURN ARRAY(SELECT name
                 FROM jsonb_each(check_schema(type) -> 'properties') AS field (name, schema)
                 WHERE schema @? '$.**."x-secret"');
END
$$;

-- Row trigger: audit_change('service', 'headers,body', 'updated_at') writes the changed columns of a row. The columns
-- in the second argument are masked, those in the third are left out. The id of the object is the column `id`, or the one
-- in the fourth argument. The fields of a check's configuration are written like columns; the secret fields of its type
-- are masked.
CREATE OR REPLACE FUNCTION audit_change() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    ignored CONSTANT text[] := string_to_array(TG_ARGV[2], ',');
    former jsonb := with_check_fields(to_jsonb(OLD) - ignored);
    latter jsonb := with_check_fields(to_jsonb(NEW) - ignored);
    masked CONSTANT text[] := string_to_array(TG_ARGV[1], ',') || secret_fields(former ->> 'type') || secret_fields(latter ->> 'type');
    before jsonb;
    after  jsonb;
BEGIN
    SELECT jsonb_object_agg(key, CASE WHEN key = ANY (masked) THEN '"***"' ELSE former -> key END)
               FILTER (WHERE former IS NOT NULL),
           jsonb_object_agg(key, CASE WHEN key = ANY (masked) THEN '"***"' ELSE latter -> key END)
               FILTER (WHERE latter IS NOT NULL)
    INTO before, after
    FROM jsonb_object_keys(coalesce(latter, former)) AS key
    WHERE former -> key IS DISTINCT FROM latter -> key;
    IF before IS NOT NULL OR after IS NOT NULL THEN
        PERFORM audit(CASE TG_OP WHEN 'INSERT' THEN 'create' WHEN 'UPDATE' THEN 'update' ELSE 'delete' END,
                      TG_ARGV[0], coalesce(latter, former) ->> coalesce(TG_ARGV[3], 'id'), before, after);
    END IF;
    RETURN NULL;
END
$$;

-- Refuses a change: for rows that must stay as they are.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    RAISE EXCEPTION '% cannot be changed or removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

-- Refuses changes and deletions of audit entries. Only prune_audit() can delete them, and not those of the last 30
-- days. This protects against mistakes; the owner of the table can drop its triggers.
CREATE OR REPLACE FUNCTION keep_audit_entry() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('sla_monitor.pruning_audit', true) = 'on'
        AND OLD.occurred_at < now() - interval '30 days'
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% cannot be changed or removed', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

-- Deletes entries older than `retention`, a limited number in each call.
CREATE OR REPLACE FUNCTION prune_audit(retention interval) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM set_config('sla_monitor.pruning_audit', 'on', true);
    DELETE FROM audit_entries
    WHERE id IN (SELECT id FROM audit_entries WHERE occurred_at < now() - retention ORDER BY occurred_at LIMIT 10000);
    PERFORM set_config('sla_monitor.pruning_audit', '', true);
END
$$;

CREATE OR REPLACE TRIGGER audit_entries_stay
    BEFORE UPDATE OR DELETE ON audit_entries
    FOR EACH ROW EXECUTE FUNCTION keep_audit_entry();

CREATE OR REPLACE TRIGGER audit_entries_are_not_emptied
    BEFORE TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE TRIGGER services_audited
    AFTER INSERT OR UPDATE OR DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION audit_change('service', 'headers,body', 'updated_at,created_at');

CREATE OR REPLACE TRIGGER users_audited
    AFTER INSERT OR UPDATE OR DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION audit_change('user', 'password_hash', 'updated_at,created_at,last_login_at');

CREATE OR REPLACE TRIGGER api_tokens_audited
    AFTER INSERT OR UPDATE OR DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION audit_change('token', 'token_hash', 'created_at,last_used_at,last_used_from');
