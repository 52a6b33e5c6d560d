-- What the SLA functions need to know about the past: the attributes of services over time, and the announcements of
-- maintenance. Triggers keep both, so that every program that changes a service or a window is covered.

CREATE OR REPLACE FUNCTION note_membership() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    service CONSTANT text := coalesce(NEW.id, OLD.id);
BEGIN
    -- A second change in one transaction replaces the first.
    DELETE FROM service_memberships WHERE service_id = service AND lower(valid) = present();
    UPDATE service_memberships SET valid = tstzrange(lower(valid), present()) WHERE service_id = service AND upper_inf(valid);
    IF TG_OP <> 'DELETE' THEN
        -- A new service has had its group and tags ever since, so that a policy of its group counts from its first check.
        INSERT INTO service_memberships (service_id, valid, group_name, tags, interval_seconds, public)
        SELECT service, tstzrange((SELECT present() FROM service_memberships WHERE service_id = service LIMIT 1), NULL),
               NEW.group_name, NEW.tags, NEW.interval_seconds, NEW.public;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_membership_inserted
    AFTER INSERT OR DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION note_membership();

CREATE OR REPLACE TRIGGER services_membership_changed
    AFTER UPDATE OF group_name, tags, interval_seconds, public ON services
    FOR EACH ROW
    WHEN ((OLD.group_name, OLD.tags, OLD.interval_seconds, OLD.public)
          IS DISTINCT FROM (NEW.group_name, NEW.tags, NEW.interval_seconds, NEW.public))
    EXECUTE FUNCTION note_membership();

-- Adds what is announced for the first time: a new occurrence, a longer one, or one for further services.
CREATE OR REPLACE FUNCTION note_announcement() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO maintenance_announcements (window_id, span, service_ids)
    SELECT NEW.window_id, tstzrange(NEW.starts_at, NEW.ends_at), NEW.service_ids
    WHERE NOT EXISTS (SELECT
                      FROM maintenance_announcements
                      WHERE window_id = NEW.window_id
                        AND span @> tstzrange(NEW.starts_at, NEW.ends_at) AND service_ids @> NEW.service_ids);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER maintenance_announced
    AFTER INSERT OR UPDATE ON maintenance_occurrences
    FOR EACH ROW EXECUTE FUNCTION note_announcement();
