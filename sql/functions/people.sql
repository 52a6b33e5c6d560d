-- Who is who, on every request and on every event of a socket: one place. Whatever ends somebody's access is heard by all
-- API processes, which then look again at the sockets they hold ('access').
CREATE OR REPLACE FUNCTION announce_access() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_notify('sla_monitor', 'access');
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER users_announced
    AFTER UPDATE OF username, role, active, password_hash OR DELETE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER sessions_announced
    AFTER UPDATE OF revoked_at OR DELETE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER api_tokens_announced
    AFTER UPDATE OF role, revoked_at, expires_at OR DELETE ON api_tokens
    FOR EACH STATEMENT EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER users_updated_at
    BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- A new password or a disabled account ends every session that there is.
CREATE OR REPLACE FUNCTION end_sessions() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE sessions SET revoked_at = now() WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER users_sessions_end
    AFTER UPDATE ON users
    FOR EACH ROW WHEN (OLD.password_hash <> NEW.password_hash OR (OLD.active AND NOT NEW.active))
    EXECUTE FUNCTION end_sessions();

-- Somebody must be left who can administer. One change of this kind at a time: two admins who demote each other at the same
-- moment would each still see the other one.
CREATE OR REPLACE FUNCTION keep_an_admin() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('sla-monitor admins', 0));
    IF NOT EXISTS (SELECT FROM users WHERE role = 'admin' AND active AND id <> OLD.id) THEN
        RAISE EXCEPTION 'the last active admin' USING ERRCODE = 'restrict_violation', CONSTRAINT = 'users_last_admin';
    END IF;
    RETURN coalesce(NEW, OLD);
END
$$;

CREATE OR REPLACE TRIGGER users_last_admin_stays
    BEFORE UPDATE ON users
    FOR EACH ROW WHEN (OLD.role = 'admin' AND OLD.active AND (NEW.role <> 'admin' OR NOT NEW.active))
    EXECUTE FUNCTION keep_an_admin();

CREATE OR REPLACE TRIGGER users_last_admin_not_deleted
    BEFORE DELETE ON users
    FOR EACH ROW WHEN (OLD.role = 'admin' AND OLD.active)
    EXECUTE FUNCTION keep_an_admin();
