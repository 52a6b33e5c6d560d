-- The events of incidents, appended at the end of the transaction: one for staff, and one for anonymous clients without internal data.

-- One update as JSON. Authors are user names, which are internal.
CREATE OR REPLACE FUNCTION incident_update_json(update incident_updates, internal boolean) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object('id', update.id, 'status', update.status, 'description', update.description,
                              'author', CASE WHEN internal THEN update.author END,
                              'createdAt', iso_time(update.created_at));

-- The reporter in the public form of an incident. NULL if it is a user name or if no reporter was set: then it is the
-- author.
CREATE OR REPLACE FUNCTION public_reporter(incident incidents) RETURNS text
    LANGUAGE sql STABLE
    RETURN CASE
        WHEN incident.reporter <> left(incident.author, 100)
            AND NOT EXISTS (SELECT FROM users WHERE lower(username) = lower(incident.reporter))
        THEN incident.reporter
    END;

-- The incident as JSON, for routes and events: with the whole timeline or, in lists and events, the newest 20 updates. Private and
-- deleted services and the names of users are internal. The public form has its own version.
CREATE OR REPLACE FUNCTION incident_json(incident incidents, internal boolean, whole boolean) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'id', incident.id,
        'title', incident.title,
        'description', incident.description,
        'status', incident.status,
        'severity', incident.severity,
        'priority', incident.priority,
        'reporter', CASE WHEN internal THEN incident.reporter ELSE public_reporter(incident) END,
        'detectionCriteria', incident.detection_criteria,
        'postmortem', incident.postmortem,
        'public', incident.public,
        'affectedServices', (
            SELECT coalesce(jsonb_agg(service_id ORDER BY service_id), '[]')
            FROM incident_services
            LEFT JOIN services ON services.id = service_id
            WHERE incident_id = incident.id AND (internal OR services.public)
        ),
        'author', CASE WHEN internal THEN incident.author END,
        'createdAt', iso_time(incident.created_at),
        'updatedAt', iso_time(CASE WHEN internal THEN incident.updated_at ELSE incident.public_updated_at END),
        'resolvedAt', iso_time(incident.resolved_at),
        'version', CASE WHEN internal THEN incident.version ELSE incident.public_version END,
        'updateCount', (SELECT count(*) FROM incident_updates WHERE incident_id = incident.id),
        'updates', (
            SELECT coalesce(jsonb_agg(incident_update_json(update, internal) ORDER BY (update).id DESC), '[]')
            FROM (
                SELECT update
                FROM incident_updates AS update
                WHERE incident_id = incident.id
                ORDER BY id DESC
                LIMIT CASE WHEN NOT whole THEN 20 END
            ) AS newest
        )
    );

-- Appends an event for staff, and one for anonymous clients if the public form of the incident has changed.
CREATE OR REPLACE FUNCTION append_incident_events(event text, incident incidents, inside jsonb, outside jsonb) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM append_event(event, 'staff', inside);
    IF incident.public AND incident.shown_in = incident.changed_in THEN
        PERFORM append_event(event, 'anonymous', outside);
    END IF;
END
$$;

-- Appends the events of a new or changed incident. For anonymous clients, an incident that becomes public is new, and
-- one that becomes internal is deleted.
CREATE OR REPLACE FUNCTION announce_incident(incident incidents, was_public boolean, event text) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    inside   CONSTANT jsonb := jsonb_build_object('incident', incident_json(incident, true, false));
    outside  CONSTANT jsonb := jsonb_build_object('incident', incident_json(incident, false, false));
    envelope CONSTANT jsonb := CASE event WHEN 'incident-updated' THEN jsonb_build_object('incidentId', incident.id) ELSE '{}' END;
BEGIN
    IF incident.public = was_public OR event = 'incident-created' THEN
        PERFORM append_incident_events(event, incident, envelope || inside, envelope || outside);
        RETURN;
    END IF;
    PERFORM append_event(event, 'staff', envelope || inside);
    IF incident.public THEN
        PERFORM append_event('incident-created', 'anonymous', outside);
    ELSE
        PERFORM withdraw_incident(incident.id, 'anonymous');
    END IF;
END
$$;

-- Removes an incident from past public events, so that it is not replayed: the rows stay, since clients know their numbers, but without
-- data and in a room without clients. 'public-services' makes API processes clear their recent events.
CREATE OR REPLACE FUNCTION withdraw_incident(incident_id text, room text) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE events SET room = 'withdrawn', data = '{}'
    WHERE event IN ('incident-created', 'incident-updated')
      AND coalesce(data ->> 'incidentId', data -> 'incident' ->> 'id') = incident_id
      AND events.room = 'anonymous';
    PERFORM append_event('incident-deleted', room, jsonb_build_object('incidentId', incident_id));
    IF room IS DISTINCT FROM 'staff' THEN
        PERFORM pg_notify('sla_monitor', 'public-services');
        PERFORM pg_notify('sla_monitor', 'services');  -- for API processes of the last release
    END IF;
END
$$;

-- Runs at the end of the transaction, after all of its changes, once for each new version. OLD is the row before the
-- transaction.
CREATE OR REPLACE FUNCTION announce_incident_change() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    was_public CONSTANT boolean := TG_OP <> 'INSERT' AND OLD.public;
    incident   incidents;
    update     incident_updates;
BEGIN
    PERFORM lock_events();
    SELECT * INTO incident FROM incidents WHERE id = coalesce(NEW.id, OLD.id);
    IF NOT FOUND THEN
        IF TG_OP <> 'INSERT' THEN
            PERFORM withdraw_incident(OLD.id, CASE WHEN NOT was_public THEN 'staff' END);
        END IF;
    ELSIF TG_OP = 'INSERT' THEN
        PERFORM announce_incident(incident, false, 'incident-created');
    ELSIF incident.edited_in = incident.changed_in OR incident.public <> was_public
        OR NOT EXISTS (SELECT FROM incident_updates WHERE incident_id = incident.id AND version = incident.version)
        OR EXISTS (SELECT FROM incident_updates WHERE incident_id = incident.id AND version = incident.version AND description = '')
    THEN
        PERFORM announce_incident(incident, was_public, 'incident-updated');
    ELSE
        FOR update IN SELECT * FROM incident_updates WHERE incident_id = incident.id AND version = incident.version ORDER BY id LOOP
            PERFORM append_incident_events(
                'incident-updated', incident,
                jsonb_build_object('incidentId', incident.id, 'update', incident_update_json(update, true)),
                jsonb_build_object('incidentId', incident.id, 'update', incident_update_json(update, false))
            );
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;

-- CREATE OR REPLACE does not exist for constraint triggers.
DROP TRIGGER IF EXISTS incidents_created_announced ON incidents;
CREATE CONSTRAINT TRIGGER incidents_created_announced
    AFTER INSERT ON incidents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION announce_incident_change();

DROP TRIGGER IF EXISTS incidents_changed_announced ON incidents;
CREATE CONSTRAINT TRIGGER incidents_changed_announced
    AFTER UPDATE ON incidents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION announce_incident_change();

-- An incident that this transaction has changed already has its event by the trigger above.
DROP TRIGGER IF EXISTS incidents_deleted_announced ON incidents;
CREATE CONSTRAINT TRIGGER incidents_deleted_announced
    AFTER DELETE ON incidents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.changed_in <> pg_current_xact_id()) EXECUTE FUNCTION announce_incident_change();
