-- Locks the feed before events are appended. Sequence numbers are assigned before the commit, so without the lock a
-- reader could see 8 before 7 and skip 7. The lock is held until the end of the transaction, so the order of numbers is
-- the order of commits.
CREATE OR REPLACE FUNCTION lock_events() RETURNS void
    LANGUAGE sql
    RETURN pg_advisory_xact_lock(hashtextextended('sla-monitor events', 0));

-- Sequence numbers must not reveal internal events. Public events get the next multiple of 65536 (PUBLIC_STEP in
-- api/live/events.py), internal events the numbers between: so public numbers are consecutive. With one sequence for both,
-- a gap at midnight would reveal the first check of the day of a private service.
--
-- Public events notify the feed with 'event', internal ones with 'inside': only the former invalidates cached public
-- responses.
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

-- The room for events of a service; for a private service it is the room for staff.
CREATE OR REPLACE FUNCTION room_of(room text, public boolean) RETURNS text
    LANGUAGE sql IMMUTABLE
    RETURN CASE WHEN public THEN room ELSE room || '-inside' END;

-- Appends one event for all clients (`room` NULL) or for the clients in a room, except the socket `origin`.
CREATE OR REPLACE FUNCTION append_event(event text, room text, data jsonb, origin text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_events();
    INSERT INTO events (event, room, data, origin) VALUES (event, room, data, origin);
END
$$;

-- Appends the event `status-update` when the state of a service has changed: by checks, by expire_states or by an
-- UPDATE of an analyst.
CREATE OR REPLACE FUNCTION announce_states() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    -- EXCEPT is hashed, while a join of the two would be a nested loop.
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
    -- Read by key: the planner assumes a thousand rows in `changed`, and would read all services otherwise.
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

-- Past events of a service that becomes private are replayed to staff only; those of a deleted service are not
-- replayed. Their rows stay, since clients know the numbers. The notification is 'public-services', after which API
-- processes clear their recent events. The lock of events prevents that a concurrent transaction appends public events
-- of the service. The recording lock is taken first, in the same order as by a batch of checks, and as by a service
-- that is paused and hidden at once.
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

-- A service was added, changed or deleted: the prober reads its services again, the API clears its recent events.
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

-- Invalidates cached public responses when a service that is or was public changes. A private service must not: clients can measure
-- that a response was computed again.
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

-- Waits for batches of checks that are being recorded: a batch refers to the service, and would be refused as a whole
-- if the service were deleted meanwhile.
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

-- The time in UTC with milliseconds, as JavaScript formats it: 2026-11-23T14:02:00.000Z.
CREATE OR REPLACE FUNCTION iso_time(moment timestamptz) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
