-- Who is where. Whatever changes presence_leases is told to the room by the two triggers below: a person is there while one of
-- their sockets is, and edits while one of their sockets does. All changes are made one after the other, under lock_events():
-- two sockets of one person that leave at the same moment would each still see the other one, and nobody would hear of it.

-- Puts a socket into an incident's room, or says what it does there (`now_editing` NULL leaves that as it is). Returns the number
-- of the last event that others' presence, read in the same transaction, takes account of; NULL where there is no such incident.
CREATE OR REPLACE FUNCTION hold_presence(incident text, socket text, process uuid, person uuid, person_name text,
                                         now_editing boolean, edited_field text, lifetime interval) RETURNS bigint
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM FROM incidents WHERE id = incident;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM lock_events();
    INSERT INTO presence_leases AS held (incident_id, socket_id, process_id, user_id, user_name, editing, field, expires_at)
    VALUES (incident, socket, process, person, person_name, coalesce(now_editing, false), edited_field, now() + lifetime)
    ON CONFLICT (incident_id, socket_id) DO UPDATE
        SET editing    = coalesce(now_editing, held.editing),
            field      = CASE WHEN now_editing IS NULL THEN held.field ELSE excluded.field END,
            user_name  = excluded.user_name,
            expires_at = excluded.expires_at;
    RETURN (SELECT coalesce(max(seq), 0) FROM events);
END
$$;

-- Takes sockets out of rooms: pairs of an incident and a socket.
CREATE OR REPLACE FUNCTION end_presence(incidents text[], sockets text[]) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_events();
    DELETE FROM presence_leases
    USING unnest(incidents, sockets) AS left_room (incident, socket)
    WHERE incident_id = incident AND socket_id = socket;
END
$$;

-- Takes out all sockets of a process that ends.
CREATE OR REPLACE FUNCTION end_process_presence(process uuid) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_events();
    DELETE FROM presence_leases WHERE process_id = process;
END
$$;

-- What a process holds, as it knows it itself: after it was cut off from the database for a while, others may have taken its
-- sockets for dead, or something that it meant to end is still there.
CREATE OR REPLACE FUNCTION restore_presence(process uuid, held jsonb, lifetime interval) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_events();
    DELETE FROM presence_leases
    WHERE process_id = process
      AND (incident_id, socket_id) NOT IN (SELECT lease.incident_id, lease.socket_id
                                           FROM jsonb_to_recordset(held) AS lease (incident_id text, socket_id text));
    INSERT INTO presence_leases (incident_id, socket_id, process_id, user_id, user_name, editing, field, expires_at)
    SELECT lease.incident_id, socket_id, process, user_id, user_name, editing, field, now() + lifetime
    FROM jsonb_to_recordset(held) AS lease (incident_id text, socket_id text, user_id uuid, user_name text, editing boolean,
                                            field text)
    ON CONFLICT (incident_id, socket_id) DO UPDATE
        SET editing = excluded.editing, field = excluded.field, expires_at = excluded.expires_at;
END
$$;

-- Takes out the sockets of processes that died.
CREATE OR REPLACE FUNCTION expire_presence() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM FROM presence_leases WHERE expires_at < now();
    IF FOUND THEN
        PERFORM lock_events();
        DELETE FROM presence_leases WHERE expires_at < now();
    END IF;
END
$$;

-- Somebody began to edit, went on to another field, or stopped in the last of their sockets that did.
CREATE OR REPLACE FUNCTION announce_editing() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM append_editing(incident_id, user_id, user_name, true, field, socket_id) FROM changed WHERE editing;
    ELSE
        PERFORM append_editing(changed.incident_id, changed.user_id, changed.user_name, changed.editing, changed.field,
                               changed.socket_id)
        FROM changed
        JOIN former USING (incident_id, socket_id)
        WHERE (changed.editing, changed.field) IS DISTINCT FROM (former.editing, former.field)
          AND (changed.editing OR former.editing)
          AND (changed.editing OR NOT edits(changed.incident_id, changed.user_id));
    END IF;
    RETURN NULL;
END
$$;

-- Sockets are gone: who was editing no longer is, and who has no other socket there has left.
CREATE OR REPLACE FUNCTION announce_departures() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    person record;
BEGIN
    FOR person IN
        SELECT incident_id, user_id, min(user_name) AS user_name, bool_or(editing) AS editing, min(socket_id) AS socket_id
        FROM gone
        GROUP BY incident_id, user_id
        ORDER BY incident_id, user_id
    LOOP
        IF person.editing AND NOT edits(person.incident_id, person.user_id) THEN
            PERFORM append_editing(person.incident_id, person.user_id, person.user_name, false, NULL, person.socket_id);
        END IF;
        PERFORM FROM presence_leases WHERE incident_id = person.incident_id AND user_id = person.user_id;
        IF NOT FOUND THEN
            PERFORM append_event('user-left', 'incident-' || person.incident_id,
                                 jsonb_build_object('room', 'incident-' || person.incident_id, 'userId', person.user_id),
                                 person.socket_id);
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION edits(incident text, person uuid) RETURNS boolean
    LANGUAGE sql VOLATILE AS
$$
SELECT EXISTS (SELECT FROM presence_leases WHERE incident_id = incident AND user_id = person AND editing)
$$;

CREATE OR REPLACE FUNCTION append_editing(incident text, person uuid, person_name text, editing boolean, field text, origin text)
    RETURNS void
    LANGUAGE sql AS
$$
SELECT append_event('incident-editing', 'incident-' || incident,
                    jsonb_build_object('incidentId', incident, 'userId', person, 'userName', person_name,
                                       'isEditing', editing, 'field', CASE WHEN editing THEN field END),
                    origin)
$$;

CREATE OR REPLACE TRIGGER presence_leases_begun
    AFTER INSERT ON presence_leases REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION announce_editing();

CREATE OR REPLACE TRIGGER presence_leases_changed
    AFTER UPDATE ON presence_leases REFERENCING NEW TABLE AS changed OLD TABLE AS former
    FOR EACH STATEMENT EXECUTE FUNCTION announce_editing();

CREATE OR REPLACE TRIGGER presence_leases_ended
    AFTER DELETE ON presence_leases REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION announce_departures();
