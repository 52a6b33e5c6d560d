-- Users, sessions and API tokens. A change that ends access notifies all API processes ('access'), which then check the
-- users of their open sockets again.
CREATE OR REPLACE FUNCTION announce_access() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_notify('sla_monitor', 'access');
    RETURN NULL;
END
$$;

-- The triggers run for each row, so that a statement that ends no access, such as the pruning of old sessions, sends no
-- notification. Equal notifications of one transaction arrive as one.
CREATE OR REPLACE TRIGGER users_announced
    AFTER UPDATE ON users
    FOR EACH ROW WHEN ((OLD.username, OLD.role, OLD.active) IS DISTINCT FROM (NEW.username, NEW.role, NEW.active))
    EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER users_deletion_announced
    AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER sessions_announced
    AFTER UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.revoked_at IS DISTINCT FROM NEW.revoked_at)
    EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER sessions_deletion_announced
    AFTER DELETE ON sessions
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL)
    EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER api_tokens_announced
    AFTER UPDATE ON api_tokens
    FOR EACH ROW WHEN ((OLD.role, OLD.revoked_at, OLD.expires_at) IS DISTINCT FROM (NEW.role, NEW.revoked_at, NEW.expires_at))
    EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER api_tokens_deletion_announced
    AFTER DELETE ON api_tokens
    FOR EACH ROW EXECUTE FUNCTION announce_access();

CREATE OR REPLACE TRIGGER users_updated_at
    BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- A new password or a disabled account ends all sessions of the user. A login after the hashing cost was raised stores
-- another hash of the same password, which ends no session: open_session() sets sla_monitor.same_password to that hash.
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
    FOR EACH ROW WHEN ((OLD.active AND NOT NEW.active)
                       OR (OLD.password_hash <> NEW.password_hash
                           AND NEW.password_hash IS DISTINCT FROM current_setting('sla_monitor.same_password', true)))
    EXECUTE FUNCTION end_sessions();

-- At least one active admin must remain. Such changes run one at a time: two admins who demote each other at the same moment
-- would each still see the other one.
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

-- The address by which a client is recognised. For IPv6 this is the /64 network, the smallest one that a customer has.
CREATE OR REPLACE FUNCTION known_as(address inet) RETURNS inet
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN family(address) = 6 THEN network(set_masklen(address, 64)) ELSE address END;

-- Opens a session after a login. Returns no row if the user was disabled or deleted, or got another password, since the password was
-- verified, which takes a tenth of a second. A transaction that disables the user waits for the row that this updates, and then ends
-- this session too. A user has at most a hundred open sessions: older ones are ended. A browser's session has no refresh token: its
-- cookie is renewed instead.
CREATE OR REPLACE FUNCTION open_session(session_id uuid, user_id uuid, verified_hash text, same_password_hash text,
                                        refresh_hash bytea, refresh_lifetime interval, session_lifetime interval,
                                        address inet, user_agent text) RETURNS SETOF users
    LANGUAGE plpgsql AS
$$
#variable_conflict use_column
DECLARE
    person users;
BEGIN
    UPDATE users
    SET last_login_at = now()
    WHERE id = $2 AND active AND password_hash = verified_hash
    RETURNING * INTO person;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF same_password_hash IS NOT NULL THEN
        PERFORM set_config('sla_monitor.same_password', same_password_hash, true);
        UPDATE users SET password_hash = same_password_hash WHERE id = $2;
    END IF;
    INSERT INTO sessions (id, user_id, expires_at, address, user_agent)
    VALUES ($1, $2, now() + session_lifetime, $8, $9);
    UPDATE sessions
    SET revoked_at = now()
    WHERE id IN (SELECT id FROM sessions
                 WHERE user_id = $2 AND revoked_at IS NULL AND expires_at > now()
                 ORDER BY created_at DESC
                 OFFSET 100);
    IF refresh_hash IS NOT NULL THEN
        INSERT INTO refresh_tokens (token_hash, session_id, expires_at)
        VALUES (refresh_hash, $1, now() + refresh_lifetime);
    END IF;
    IF $8 IS NOT NULL THEN
        INSERT INTO known_addresses (user_id, address)
        VALUES ($2, known_as($8))
        ON CONFLICT (user_id, address) DO UPDATE SET last_login_at = now();
    END IF;
    PERFORM audit('login', 'user', $2::text);
    RETURN NEXT person;
END
$$;

-- Replaces a refresh token by the next one. `outcome` is 'refreshed'; 'refused' if the session has ended or its user is
-- not active; or 'reused' if the token is not stored as unused: then it or its successor was stolen, and the session is
-- ended. Because of the row lock, two requests with one token run one after the other.
CREATE OR REPLACE FUNCTION refresh_session(session_id uuid, user_id uuid, spent_hash bytea, fresh_hash bytea,
                                           refresh_lifetime interval, session_lifetime interval,
                                           OUT outcome text, OUT username text, OUT email text, OUT role text)
    LANGUAGE plpgsql AS
$$
#variable_conflict use_column
BEGIN
    outcome := 'refused';
    SELECT users.username, users.email, users.role
    INTO username, email, role
    FROM sessions
    JOIN users ON users.id = sessions.user_id
    WHERE sessions.id = $1
      AND users.id = $2
      AND sessions.revoked_at IS NULL
      AND sessions.expires_at > now()
      AND users.active
    FOR NO KEY UPDATE OF sessions;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    UPDATE refresh_tokens SET used_at = now() WHERE token_hash = spent_hash AND session_id = $1 AND used_at IS NULL;
    IF FOUND THEN
        INSERT INTO refresh_tokens (token_hash, session_id, expires_at) VALUES (fresh_hash, $1, now() + refresh_lifetime);
        UPDATE sessions SET expires_at = now() + session_lifetime WHERE id = $1;
        outcome := 'refreshed';
    ELSE
        UPDATE sessions SET revoked_at = now() WHERE id = $1;
        PERFORM audit('refresh-reused', 'user', $2::text, after => jsonb_build_object('session', $1));
        outcome := 'reused';
    END IF;
END
$$;

-- Creates the first user of an installation, an admin; false if there is a user already. If several processes start
-- together, the others wait for the lock, and then find a user.
CREATE OR REPLACE FUNCTION create_first_admin(username text, email text, password_hash text) RETURNS boolean
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('sla-monitor admins', 0));
    IF EXISTS (SELECT FROM users) THEN
        RETURN false;
    END IF;
    INSERT INTO users (username, email, password_hash, role) VALUES ($1, $2, $3, 'admin');
    RETURN true;
END
$$;
