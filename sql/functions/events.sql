-- Appends to the feed. Sequence numbers are given out before commit, so without the lock a reader could see 8, then 7, and
-- lose 7. The lock lives until the transaction has committed: order of numbers is order of commits.
CREATE OR REPLACE FUNCTION lock_events() RETURNS void
    LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('sla-monitor events', 0));

-- Appends one event: to everyone, or to a room; not to the socket it came from.
CREATE OR REPLACE FUNCTION append_event(event text, room text, data jsonb, origin text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_events();
    INSERT INTO events (event, room, data, origin) VALUES (event, room, data, origin);
    PERFORM pg_notify('sla_monitor', 'event');
END
$$;

-- A service's state changed, whoever changed it: the prober, expire_states or an analyst's UPDATE.
CREATE OR REPLACE FUNCTION announce_states() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF NOT EXISTS (SELECT FROM changed JOIN former USING (service_id) WHERE changed.state <> former.state) THEN
        RETURN NULL;
    END IF;
    PERFORM lock_events();
    INSERT INTO events (event, room, data)
    SELECT 'status-update',
           'system-status',
           jsonb_build_object('serviceId', service_id, 'status', changed.state, 'timestamp', iso_time(changed.since))
    FROM changed
    JOIN former USING (service_id)
    JOIN services ON services.id = service_id
    WHERE changed.state <> former.state AND services.public
    ORDER BY changed.since, service_id;
    PERFORM pg_notify('sla_monitor', 'event');
    PERFORM pg_notify('sla_monitor', 'checks');
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER service_states_announced
    AFTER UPDATE ON service_states REFERENCING NEW TABLE AS changed OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION announce_states();

-- What is private or gone from now on is not told to those who ask what they missed. The rows stay, empty and in a room that
-- nobody is in: their numbers are known to clients. Notified as 'services', upon which no API process trusts its memory.
CREATE OR REPLACE FUNCTION withdraw_service() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE events SET room = 'withdrawn', data = '{}'
    WHERE event IN ('status-update', 'uptime-updated') AND data ->> 'serviceId' = OLD.id;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_hidden
    AFTER UPDATE OF public ON services
    FOR EACH ROW WHEN (OLD.public AND NOT NEW.public) EXECUTE FUNCTION withdraw_service();

CREATE OR REPLACE TRIGGER services_gone
    AFTER DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION withdraw_service();

-- A service was added, changed or removed: the prober reloads, the API forgets what it had encoded.
CREATE OR REPLACE FUNCTION announce_services() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO service_states (service_id) SELECT id FROM services ON CONFLICT DO NOTHING;
    END IF;
    PERFORM pg_notify('sla_monitor', 'services');
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_announced
    AFTER INSERT OR UPDATE OR DELETE ON services
    FOR EACH STATEMENT EXECUTE FUNCTION announce_services();

-- A service that is paused says nothing about the present. When it goes on, the check that was under way while it was paused
-- must not stand for it: its first new check has to be news. One recorder at a time, as in record_checks.
CREATE OR REPLACE FUNCTION forget_paused() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_recording();
    UPDATE latest_checks SET expired = true WHERE service_id = NEW.id;
    UPDATE service_states SET state = 'unknown', since = now() WHERE service_id = NEW.id AND state <> 'unknown';
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_paused
    AFTER UPDATE OF enabled ON services
    FOR EACH ROW WHEN (OLD.enabled <> NEW.enabled) EXECUTE FUNCTION forget_paused();

-- A batch that has just looked its services up must not find one gone when it writes what refers to it: the whole batch
-- would be refused.
CREATE OR REPLACE FUNCTION await_recording() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_recording();
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_deleted
    BEFORE DELETE ON services
    FOR EACH STATEMENT EXECUTE FUNCTION await_recording();

CREATE OR REPLACE FUNCTION touch_updated_at() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER services_updated_at
    BEFORE UPDATE ON services
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

-- As JSON clients write it: 2026-11-23T14:02:00.000Z.
CREATE OR REPLACE FUNCTION iso_time(moment timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
