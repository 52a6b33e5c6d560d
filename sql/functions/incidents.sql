-- The rules of incidents, for routes and for psql users. All changes of an incident in one transaction are one version and one event
-- (or one event for each update, if only the timeline has changed).

-- Ids: INC-2026-0007, with the year in the reporting time zone. Public incidents are numbered consecutively. A new internal incident
-- gets a random number of nine digits, so that it leaves no gap in the public numbers. An id that is given, as for imported incidents,
-- is used, and the number of a public one is not assigned again.
CREATE OR REPLACE FUNCTION number_incident() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    by_chance CONSTANT integer := 100000000;  -- the lowest number of nine digits
    year      CONSTANT integer := coalesce(substring(NEW.id FROM '^INC-([0-9]{4})-[0-9]{4,9}$')::integer,
                                           extract(year FROM NEW.created_at AT TIME ZONE reporting_time_zone()));
    given     CONSTANT integer := substring(NEW.id FROM '^INC-[0-9]{4}-([0-9]{4,9})$')::integer;
    number    integer;
    numbered  text;
BEGIN
    IF NEW.id IS NOT NULL AND (NOT NEW.public OR given >= by_chance) THEN
        RETURN NEW;
    END IF;
    LOOP
        IF NEW.public THEN
            INSERT INTO incident_numbers AS known (year, last)
            VALUES (year, coalesce(given, 1))
            ON CONFLICT ON CONSTRAINT incident_numbers_pkey DO UPDATE
                SET last = CASE WHEN given IS NULL THEN known.last + 1 ELSE greatest(known.last, given) END
            RETURNING last INTO number;
        ELSE
            number := by_chance + floor(random() * 9 * by_chance)::integer;
        END IF;
        numbered := coalesce(NEW.id, format('INC-%s-%s', year, lpad(number::text, greatest(4, length(number::text)), '0')));
        EXIT WHEN NEW.id IS NOT NULL OR NOT EXISTS (SELECT FROM incidents WHERE id = numbered);
    END LOOP;
    NEW.id := numbered;
    RETURN NEW;
END
$$;

-- The author of an incident is the actor of this transaction, unless it is set in the row.
CREATE OR REPLACE FUNCTION complete_incident() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    actor CONSTANT record := current_actor();
BEGIN
    NEW.created_by := coalesce(NEW.created_by, (SELECT id FROM users WHERE id = actor.id));
    NEW.author := coalesce(NEW.author, actor.name);
    NEW.reporter := coalesce(NEW.reporter, left(NEW.author, 100));
    NEW.resolved_at := CASE WHEN NEW.status = 'resolved' THEN coalesce(NEW.resolved_at, greatest(clock_timestamp(), NEW.created_at)) END;
    NEW.version := 1;
    NEW.updated_at := now();
    NEW.changed_in := pg_current_xact_id();
    NEW.edited_in := NEW.changed_in;
    NEW.public_version := NEW.public::integer;
    NEW.public_updated_at := NEW.updated_at;
    NEW.shown_in := NEW.changed_in;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER incidents_1_completed
    BEFORE INSERT ON incidents
    FOR EACH ROW EXECUTE FUNCTION complete_incident();

CREATE OR REPLACE TRIGGER incidents_2_numbered
    BEFORE INSERT ON incidents
    FOR EACH ROW EXECUTE FUNCTION number_incident();

-- The visible columns of the row.
CREATE OR REPLACE FUNCTION incident_texts(incident incidents) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN to_jsonb(incident) - '{status,created_by,updated_at,resolved_at,version,changed_in,edited_in,public_version,public_updated_at,shown_in}'::text[];

-- The public columns of the row, if the incident is public.
CREATE OR REPLACE FUNCTION incident_shown(incident incidents) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN incident_texts(incident) - '{author,reporter}'::text[] || jsonb_build_object('reporter', public_reporter(incident));

-- The first change in a transaction increments the version; further changes belong to the same version. updated_at is compared too,
-- since a restored dump may contain transaction ids that are still to come on the new server. The public version works in the same
-- way, but counts only changes of public columns.
CREATE OR REPLACE FUNCTION version_incident() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    this    CONSTANT xid8 := pg_current_xact_id();
    same    CONSTANT boolean := OLD.changed_in = this AND OLD.updated_at >= now();
    edited  CONSTANT boolean := NEW.edited_in IS DISTINCT FROM OLD.edited_in OR incident_texts(NEW) IS DISTINCT FROM incident_texts(OLD);
    changed CONSTANT boolean := edited
        OR NEW.changed_in IS DISTINCT FROM OLD.changed_in OR NEW.status <> OLD.status
        OR (NEW.status = 'resolved' AND NEW.resolved_at IS DISTINCT FROM OLD.resolved_at);
    shown   CONSTANT boolean := NEW.public AND (
        NEW.shown_in IS DISTINCT FROM OLD.shown_in OR NEW.status <> OLD.status
        OR (NEW.status = 'resolved' AND NEW.resolved_at IS DISTINCT FROM OLD.resolved_at)
        OR incident_shown(NEW) IS DISTINCT FROM incident_shown(OLD));
    counted CONSTANT boolean := OLD.public AND OLD.shown_in = this AND OLD.public_updated_at >= now();
    moment  CONSTANT timestamptz := clock_timestamp();
BEGIN
    NEW.id := OLD.id;
    NEW.resolved_at := CASE WHEN NEW.status = 'resolved' THEN coalesce(NEW.resolved_at, greatest(clock_timestamp(), NEW.created_at)) END;
    NEW.version := OLD.version + (changed AND NOT same)::integer;
    NEW.updated_at := CASE WHEN changed THEN greatest(moment, OLD.updated_at) ELSE OLD.updated_at END;
    NEW.changed_in := CASE WHEN changed THEN this ELSE OLD.changed_in END;
    NEW.edited_in := CASE WHEN edited THEN this ELSE OLD.edited_in END;
    NEW.public_version := OLD.public_version + (shown AND NOT counted)::integer;
    NEW.public_updated_at := CASE WHEN shown THEN greatest(moment, OLD.public_updated_at) ELSE OLD.public_updated_at END;
    NEW.shown_in := CASE WHEN shown THEN this ELSE OLD.shown_in END;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER incidents_versioned
    BEFORE UPDATE ON incidents
    FOR EACH ROW EXECUTE FUNCTION version_incident();

-- The newest update of the timeline has the incident's status: if the status is set directly, an update without text is added.
CREATE OR REPLACE FUNCTION add_status_update() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO incident_updates (incident_id, status)
    SELECT NEW.id, NEW.status
    WHERE NEW.status IS DISTINCT FROM (SELECT status FROM incident_updates WHERE incident_id = NEW.id ORDER BY id DESC LIMIT 1);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER incidents_status_recorded
    AFTER UPDATE ON incidents
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION add_status_update();

-- Ids of updates and comments are derived from the time in microseconds: they are public, and consecutive ones would reveal the number
-- of internal ones between them. They are exact integers in JavaScript.
CREATE OR REPLACE FUNCTION number_by_time(moment timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN (extract(epoch FROM moment) * 1000000)::bigint;

-- The first number from `number` on that no update and no comment has. The transaction holds a lock on it: two sessions in one
-- microsecond would both find it free, and the second one would fail.
CREATE OR REPLACE FUNCTION free_number(number bigint) RETURNS bigint
    LANGUAGE plpgsql AS
$$
DECLARE
    free bigint := number;
BEGIN
    LOOP
        PERFORM pg_advisory_xact_lock(hashtextextended('sla-monitor number', free));
        IF NOT EXISTS (SELECT FROM incident_updates WHERE id = free) AND NOT EXISTS (SELECT FROM incident_comments WHERE id = free) THEN
            RETURN free;
        END IF;
        free := free + 1;
    END LOOP;
END
$$;

-- The author of an update is the current actor. It gets its id after the incident's row is locked, so that the order of the timeline
-- is the order of commits, and its newest update has the incident's status.
CREATE OR REPLACE FUNCTION complete_incident_update() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE incidents
    SET changed_in = pg_current_xact_id(), shown_in = pg_current_xact_id()
    WHERE id = NEW.incident_id
    RETURNING version INTO NEW.version;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no incident %', NEW.incident_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    IF (SELECT count(*) FROM incident_updates WHERE incident_id = NEW.incident_id) >= 500 THEN
        RAISE EXCEPTION 'an incident has at most 500 updates' USING ERRCODE = 'check_violation', CONSTRAINT = 'incident_updates_most';
    END IF;
    NEW.author := (current_actor()).name;
    NEW.created_at := clock_timestamp();
    NEW.id := free_number(greatest(number_by_time(NEW.created_at),
                                   1 + (SELECT max(id) FROM incident_updates WHERE incident_id = NEW.incident_id)));
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER incident_updates_completed
    BEFORE INSERT ON incident_updates
    FOR EACH ROW EXECUTE FUNCTION complete_incident_update();

-- The status of an update becomes the status of its incident.
CREATE OR REPLACE FUNCTION follow_incident_update() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE incidents SET status = NEW.status WHERE id = NEW.incident_id AND status <> NEW.status;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER incident_updates_followed
    AFTER INSERT ON incident_updates
    FOR EACH ROW EXECUTE FUNCTION follow_incident_update();

CREATE OR REPLACE TRIGGER incident_updates_stay
    BEFORE UPDATE ON incident_updates
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Updates can only be deleted with their incident.
CREATE OR REPLACE FUNCTION keep_incident_update() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF EXISTS (SELECT FROM incidents WHERE id = OLD.incident_id) THEN
        RAISE EXCEPTION 'incident_updates cannot be changed or removed' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END
$$;

CREATE OR REPLACE TRIGGER incident_updates_not_deleted
    BEFORE DELETE ON incident_updates
    FOR EACH ROW EXECUTE FUNCTION keep_incident_update();

-- A change of the affected services is a change of the incident.
CREATE OR REPLACE FUNCTION touch_incidents() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    touched record;
BEGIN
    FOR touched IN
        SELECT incidents.id,
               jsonb_build_object('affected_services', jsonb_agg(service_id ORDER BY service_id)) AS services,
               coalesce(bool_or(services.public), false)                                          AS shown
        FROM changed
        JOIN incidents ON incidents.id = incident_id
        LEFT JOIN services ON services.id = service_id
        GROUP BY incidents.id
        ORDER BY incidents.id
    LOOP
        UPDATE incidents
        SET edited_in = pg_current_xact_id(), shown_in = CASE WHEN touched.shown THEN pg_current_xact_id() ELSE shown_in END
        WHERE id = touched.id;
        PERFORM audit('update', 'incident', touched.id, CASE TG_OP WHEN 'DELETE' THEN touched.services END,
                      CASE TG_OP WHEN 'INSERT' THEN touched.services END);
    END LOOP;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER incident_services_added
    AFTER INSERT ON incident_services REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION touch_incidents();

CREATE OR REPLACE TRIGGER incident_services_removed
    AFTER DELETE ON incident_services REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION touch_incidents();

CREATE OR REPLACE TRIGGER incidents_audited
    AFTER INSERT OR UPDATE OR DELETE ON incidents
    FOR EACH ROW EXECUTE FUNCTION audit_change('incident', '', 'version,updated_at,created_at,created_by,changed_in,edited_in,public_version,public_updated_at,shown_in');

CREATE OR REPLACE TRIGGER incident_updates_audited
    AFTER INSERT ON incident_updates
    FOR EACH ROW EXECUTE FUNCTION audit_change('incident-update', '', 'version,created_at');
