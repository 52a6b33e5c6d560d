-- What is told of incidents: at the end of the transaction, to each as much as they may know.

CREATE OR REPLACE FUNCTION incident_update_json(update incident_updates) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object('id', update.id, 'status', update.status, 'description', update.description,
                              'author', update.author, 'createdAt', iso_time(update.created_at));

-- The incident as routes answer it and events tell it. Private services are for those inside.
CREATE OR REPLACE FUNCTION incident_json(incident incidents, internal boolean) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_object(
        'id', incident.id,
        'title', incident.title,
        'description', incident.description,
        'status', incident.status,
        'severity', incident.severity,
        'priority', incident.priority,
        'reporter', incident.reporter,
        'detectionCriteria', incident.detection_criteria,
        'postmortem', incident.postmortem,
        'public', incident.public,
        'affectedServices', (
            SELECT coalesce(jsonb_agg(service_id ORDER BY service_id), '[]')
            FROM incident_services
            JOIN services ON services.id = service_id
            WHERE incident_id = incident.id AND (internal OR services.public)
        ),
        'author', incident.author,
        'createdAt', iso_time(incident.created_at),
        'updatedAt', iso_time(incident.updated_at),
        'resolvedAt', iso_time(incident.resolved_at),
        'version', incident.version,
        'updates', (
            SELECT coalesce(jsonb_agg(incident_update_json(incident_updates) ORDER BY id DESC), '[]')
            FROM incident_updates
            WHERE incident_id = incident.id
        )
    );

-- To everybody where everybody may know all of it; else to those inside, and to those outside what they may know.
CREATE OR REPLACE FUNCTION announce_incident(incident incidents, was_public boolean, event text) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    whole    CONSTANT jsonb := incident_json(incident, true);
    outside  CONSTANT jsonb := incident_json(incident, false);
    envelope CONSTANT jsonb := CASE event WHEN 'incident-updated' THEN jsonb_build_object('incidentId', incident.id) ELSE '{}' END;
BEGIN
    IF incident.public AND (was_public OR event = 'incident-created') AND whole = outside THEN
        PERFORM append_event(event, NULL, envelope || jsonb_build_object('incident', whole));
        RETURN;
    END IF;
    PERFORM append_event(event, 'staff', envelope || jsonb_build_object('incident', whole));
    IF incident.public AND was_public THEN
        PERFORM append_event(event, 'anonymous', envelope || jsonb_build_object('incident', outside));
    ELSIF incident.public THEN
        PERFORM append_event('incident-created', 'anonymous', jsonb_build_object('incident', outside));
    ELSIF was_public THEN
        PERFORM withdraw_incident(incident.id, 'anonymous');
    END IF;
END
$$;

-- Nobody shall see it any more, not even in the answers that the API keeps for the time when the database is away: it drops
-- those for 'services' only.
CREATE OR REPLACE FUNCTION withdraw_incident(incident_id text, room text) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM append_event('incident-deleted', room, jsonb_build_object('incidentId', incident_id));
    PERFORM pg_notify('sla_monitor', 'services');
END
$$;

-- At the end of the transaction, when all of its changes are there. Each transaction that made a version comes here once, with
-- the row as it was before.
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
            PERFORM append_event('incident-updated', CASE WHEN NOT incident.public THEN 'staff' END,
                                 jsonb_build_object('incidentId', incident.id, 'update', incident_update_json(update)));
        END LOOP;
    END IF;
    RETURN NULL;
END
$$;

-- Constraint triggers know no CREATE OR REPLACE.
DROP TRIGGER IF EXISTS incidents_created_announced ON incidents;
CREATE CONSTRAINT TRIGGER incidents_created_announced
    AFTER INSERT ON incidents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION announce_incident_change();

DROP TRIGGER IF EXISTS incidents_changed_announced ON incidents;
CREATE CONSTRAINT TRIGGER incidents_changed_announced
    AFTER UPDATE ON incidents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.version <> NEW.version) EXECUTE FUNCTION announce_incident_change();

-- One that this transaction had changed before is told of by the trigger above.
DROP TRIGGER IF EXISTS incidents_deleted_announced ON incidents;
CREATE CONSTRAINT TRIGGER incidents_deleted_announced
    AFTER DELETE ON incidents DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (OLD.changed_in <> pg_current_xact_id()) EXECUTE FUNCTION announce_incident_change();
