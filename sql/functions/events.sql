-- Appends to the feed. Sequence numbers are given out before commit, so without the lock a reader could see 8, then 7, and
-- lose 7. The lock lives until the transaction has committed: order of numbers is order of commits.
CREATE OR REPLACE FUNCTION lock_events() RETURNS void
    LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('sla-monitor events', 0));

-- Numbers tell nothing of what happens inside. What strangers may hear of gets the next multiple of 65536 (PUBLIC_STEP in
-- api/live/hub.py), the rest the numbers between: the numbers that a stranger sees follow each other, whatever happens there. Were
-- they counted together, a hole in them each midnight would be a private service that has its first check of the day.
--
-- Both wake those who read events ('event', 'inside'); answers that strangers get end with the first kind only.
CREATE OR REPLACE FUNCTION number_event() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    public CONSTANT boolean := NEW.room IS NULL OR NEW.room IN ('system-status', 'uptime', 'anonymous');
BEGIN
    IF public THEN
        NEW.seq := setval(pg_get_serial_sequence('events', 'seq'), (NEW.seq + 65535) / 65536 * 65536);
    ELSIF NEW.seq % 65536 = 0 THEN
        NEW.seq := nextval(pg_get_serial_sequence('events', 'seq'));
    END IF;
    PERFORM pg_notify('sla_monitor', CASE WHEN public THEN 'event' ELSE 'inside' END);
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER events_numbered
    BEFORE INSERT ON events
    FOR EACH ROW EXECUTE FUNCTION number_event();

-- The room for events of a service: those of a private one go to users who are logged in only.
CREATE OR REPLACE FUNCTION room_of(room text, public boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN public THEN room ELSE room || '-inside' END;

-- Appends one event: to everyone, or to a room; not to the socket it came from.
CREATE OR REPLACE FUNCTION append_event(event text, room text, data jsonb, origin text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_events();
    INSERT INTO events (event, room, data, origin) VALUES (event, room, data, origin);
END
$$;

-- A service's state changed, whoever changed it: the prober, expire_states or an analyst's UPDATE.
CREATE OR REPLACE FUNCTION announce_states() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    -- EXCEPT is hashed, where a join of the two would be a nested loop.
    IF NOT EXISTS (SELECT service_id, state FROM changed EXCEPT SELECT service_id, state FROM former) THEN
        RETURN NULL;
    END IF;
    PERFORM lock_events();
    INSERT INTO events (event, room, data)
    SELECT 'status-update',
           room_of('system-status', services.public),
           jsonb_build_object('serviceId', service_id, 'status', changed.state, 'timestamp', iso_time(changed.since))
    FROM changed
    JOIN former USING (service_id)
    -- By its key: the planner takes `changed` for a thousand rows, and would read all services.
    CROSS JOIN LATERAL (SELECT public FROM services WHERE id = service_id LIMIT 1) AS services
    WHERE changed.state <> former.state
    ORDER BY changed.since, service_id;
    PERFORM pg_notify('sla_monitor', 'checks');
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER service_states_announced
    AFTER UPDATE ON service_states REFERENCING NEW TABLE AS changed OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION announce_states();

-- Of what is private from now on those inside alone are told what they missed, of what is gone nobody. Its rows stay: their
-- numbers are known to clients. Notified as 'public-services', upon which no API process trusts its memory. Under the lock of events, so
-- that nothing is told meanwhile by who still takes the service for a public one; and first that of recording, because a batch
-- takes them in this order, and so does a service that is paused and hidden at once.
CREATE OR REPLACE FUNCTION withdraw_service() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_recording();
    PERFORM lock_events();
    UPDATE events
    SET room = CASE TG_OP WHEN 'DELETE' THEN 'withdrawn' ELSE room_of(room, false) END,
        data = CASE TG_OP WHEN 'DELETE' THEN '{}' ELSE data END
    WHERE event IN ('status-update', 'uptime-updated') AND data ->> 'serviceId' = OLD.id
      AND (TG_OP = 'DELETE' OR room IN ('system-status', 'uptime'));
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_hidden
    AFTER UPDATE OF public ON services
    FOR EACH ROW WHEN (OLD.public AND NOT NEW.public) EXECUTE FUNCTION withdraw_service();

CREATE OR REPLACE TRIGGER services_gone
    AFTER DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION withdraw_service();

-- A service was added, changed or removed: the prober reloads, the API forgets what it had encoded for sockets.
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

-- Answers that everybody gets end when a service that is or was public changes. Strangers can measure that an answer was computed
-- anew, so a private service ends none.
CREATE OR REPLACE FUNCTION announce_public_service() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF coalesce(OLD.public, false) OR coalesce(NEW.public, false) THEN
        PERFORM pg_notify('sla_monitor', 'public-services');
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_announced_to_all
    AFTER INSERT OR UPDATE OR DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION announce_public_service();

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
