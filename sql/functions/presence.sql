-- Presence in the rooms of incidents and templates. presence_leases.incident_id is the id of the incident, or
-- 'template-' and the id of the template. The triggers below append events for all changes of presence_leases: a user
-- is present while any of their sockets is in the room, and editing while any of them is editing; a template's room
-- gets the number of its sockets. Changes are serialised by lock_events(): otherwise two sockets of a user that leave
-- at the same time would each still see the other one, and there would be no event. The lock is taken before any row:
-- in the other order two of these functions could deadlock.

-- Enters a socket into an incident's room, or changes what it edits there (`now_editing` NULL: unchanged). `editors`: the other users
-- who are editing, as of the event `seq`, which is NULL if there is no such incident. It is one statement, so that the lock is not
-- held while a client waits.
CREATE OR REPLACE FUNCTION hold_presence(incident text, socket text, process uuid, person uuid, person_name text,
                                         now_editing boolean, edited_field text, lifetime interval,
                                         OUT seq bigint, OUT editors jsonb)
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM FROM incidents WHERE id = incident;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM lock_events();
    INSERT INTO presence_leases AS held (incident_id, socket_id, process_id, user_id, user_name, editing, field, expires_at)
    VALUES (incident, socket, process, person, person_name, coalesce(now_editing, false), edited_field, now() + lifetime)
    ON CONFLICT (incident_id, socket_id) DO UPDATE
        SET editing    = coalesce(now_editing, held.editing),
            field      = CASE WHEN now_editing IS NULL THEN held.field ELSE excluded.field END,
            user_name  = excluded.user_name,
            expires_at = excluded.expires_at;
    SELECT coalesce(max(events.seq), 0) INTO seq FROM events;
    SELECT coalesce(jsonb_agg(jsonb_build_object('user_id', user_id, 'user_name', user_name, 'field', field)), '[]') INTO editors
    FROM (
        SELECT DISTINCT ON (user_id) user_id, user_name, field
        FROM presence_leases
        WHERE incident_id = incident AND user_id <> person AND editing AND expires_at > now()
        ORDER BY user_id, expires_at DESC
    ) AS others;
END
$$;

-- Enters a socket into a template's room. `user_count`: the number of sockets in it, as of the event `seq`, which is NULL if there is
-- no such template.
CREATE OR REPLACE FUNCTION join_template(template uuid, socket text, process uuid, person uuid, person_name text,
                                         lifetime interval, OUT seq bigint, OUT user_count bigint)
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM FROM templates WHERE id = template;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM lock_events();
    INSERT INTO presence_leases (incident_id, socket_id, process_id, user_id, user_name, expires_at)
    VALUES ('template-' || template, socket, process, person, person_name, now() + lifetime)
    ON CONFLICT (incident_id, socket_id) DO UPDATE
        SET user_name = excluded.user_name, expires_at = excluded.expires_at;
    SELECT coalesce(max(events.seq), 0) INTO seq FROM events;
    user_count := users_in('template-' || template);
END
$$;

-- Sends the changes that a user is making to a template to its room, except to the socket `origin`; nothing is stored. NULL if there
-- is no such template.
CREATE OR REPLACE FUNCTION append_template_update(template uuid, person uuid, person_name text, data jsonb, origin text)
    RETURNS timestamptz
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM FROM templates WHERE id = template;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM append_event('template-updated', 'template-' || template,
                         jsonb_build_object('templateId', template, 'data', data, 'userId', person, 'userName', person_name,
                                            'timestamp', iso_time(now())),
                         origin);
    RETURN now();
END
$$;

-- Removes sockets from rooms, given as pairs of an incident and a socket.
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

-- Removes all sockets of a process that ends.
CREATE OR REPLACE FUNCTION end_process_presence(process uuid) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_events();
    DELETE FROM presence_leases WHERE process_id = process;
END
$$;

-- Makes the leases of a process equal to those in its memory. After the database was away, other processes may have deleted some, or
-- released ones may still be stored.
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

-- Deletes expired leases, except those that are being renewed at this moment. It is called every second by a worker, so it takes
-- the lock only if there are any.
CREATE OR REPLACE FUNCTION expire_presence() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM FROM presence_leases WHERE expires_at < now() LIMIT 1;
    IF FOUND THEN
        PERFORM lock_events();
        DELETE FROM presence_leases
        WHERE (incident_id, socket_id) IN (SELECT incident_id, socket_id
                                           FROM presence_leases
                                           WHERE expires_at < now()
                                           FOR UPDATE SKIP LOCKED);
    END IF;
END
$$;

-- Appends events when sockets enter a template's room, and when a user begins to edit, changes the field, or stops
-- editing in the last socket that was editing.
CREATE OR REPLACE FUNCTION announce_editing() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM append_user_count(place)
        FROM (SELECT DISTINCT incident_id FROM changed WHERE incident_id LIKE 'template-%' ORDER BY incident_id) AS entered (place);
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

-- Appends events for removed sockets: the editing of their users ends, and users without another socket in the room
-- have left it.
CREATE OR REPLACE FUNCTION announce_departures() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    person record;
BEGIN
    FOR person IN
        SELECT incident_id, user_id, min(user_name) AS user_name, bool_or(editing) AS editing, min(socket_id) AS socket_id
        FROM gone
        WHERE incident_id NOT LIKE 'template-%'
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
    PERFORM append_user_count(place)
    FROM (SELECT DISTINCT incident_id FROM gone WHERE incident_id LIKE 'template-%' ORDER BY incident_id) AS left_room (place);
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

CREATE OR REPLACE FUNCTION users_in(place text) RETURNS bigint
    LANGUAGE sql VOLATILE AS
$$
SELECT count(*) FROM presence_leases WHERE incident_id = place
$$;

-- Sends the number of sockets to a template's room.
CREATE OR REPLACE FUNCTION append_user_count(place text) RETURNS void
    LANGUAGE sql AS
$$
SELECT append_event('user-count-updated', place,
                    jsonb_build_object('templateId', substr(place, length('template-') + 1), 'userCount', users_in(place)))
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
