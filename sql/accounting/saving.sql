-- The audit log of SLA policies, and the holiday calendars. A calendar is one object with all its days.

CREATE OR REPLACE TRIGGER sla_policies_audited
    AFTER INSERT OR UPDATE OR DELETE ON sla_policies
    FOR EACH ROW EXECUTE FUNCTION audit_change('sla-policy', '', 'created_at');

CREATE OR REPLACE TRIGGER sla_policy_versions_audited
    AFTER INSERT OR UPDATE OR DELETE ON sla_policy_versions
    FOR EACH ROW EXECUTE FUNCTION audit_change('sla-policy-version', '', 'recorded_at,created_by,author', 'policy_id');

-- A calendar as JSON for the audit log; NULL if there is none.
CREATE OR REPLACE FUNCTION holidays_of(calendar_name text) RETURNS jsonb
    LANGUAGE sql STABLE AS
$$
SELECT jsonb_build_object('name', name, 'days', coalesce((SELECT jsonb_object_agg(day, holidays.name)
                                                          FROM holidays
                                                          WHERE calendar = calendar_name), '{}'))
FROM holiday_calendars
WHERE name = calendar_name
$$;

-- Creates a calendar or replaces its days.
CREATE OR REPLACE FUNCTION save_holidays(calendar_name text, days date[], names text[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    before jsonb;
    after  jsonb;
BEGIN
    before := holidays_of(calendar_name);
    -- The update locks the row, so that another transaction cannot change or delete the calendar.
    INSERT INTO holiday_calendars (name) VALUES (calendar_name)
    ON CONFLICT (name) DO UPDATE SET created_at = holiday_calendars.created_at;
    -- Only days that change, since figures are computed again from the first of them on.
    DELETE FROM holidays WHERE calendar = calendar_name AND day <> ALL (days);
    INSERT INTO holidays AS known (calendar, day, name)
    SELECT calendar_name, listed.day, listed.name FROM unnest(days, names) AS listed (day, name)
    ON CONFLICT (calendar, day) DO UPDATE SET name = excluded.name WHERE known.name <> excluded.name;
    after := holidays_of(calendar_name);
    IF before IS DISTINCT FROM after THEN
        PERFORM audit(CASE WHEN before IS NULL THEN 'create' ELSE 'update' END, 'holiday-calendar', calendar_name, before, after);
    END IF;
END
$$;

-- Deletes a calendar; false if there is none. Raises foreign_key_violation while a policy version uses it.
CREATE OR REPLACE FUNCTION delete_holidays(calendar_name text) RETURNS boolean
    LANGUAGE plpgsql AS
$$
DECLARE
    before CONSTANT jsonb := holidays_of(calendar_name);
BEGIN
    DELETE FROM holiday_calendars WHERE name = calendar_name;
    IF FOUND THEN
        PERFORM audit('delete', 'holiday-calendar', calendar_name, before);
    END IF;
    RETURN FOUND;
END
$$;

-- Public figures depend on policies, holidays, corrections and maintenance, so their cached responses are invalidated.
CREATE OR REPLACE FUNCTION notify_accounting() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM pg_notify('sla_monitor', 'public-services');
    RETURN NULL;
END
$$;

-- Not for any UPDATE: deleting a user updates created_by.
CREATE OR REPLACE TRIGGER sla_policy_versions_notify
    AFTER INSERT OR DELETE ON sla_policy_versions
    FOR EACH STATEMENT EXECUTE FUNCTION notify_accounting();

CREATE OR REPLACE TRIGGER holidays_notify
    AFTER INSERT OR UPDATE OR DELETE ON holidays
    FOR EACH STATEMENT EXECUTE FUNCTION notify_accounting();

CREATE OR REPLACE TRIGGER sla_correction_spans_notify
    AFTER INSERT OR UPDATE OR DELETE ON sla_correction_spans
    FOR EACH STATEMENT EXECUTE FUNCTION notify_accounting();

CREATE OR REPLACE TRIGGER sla_corrections_notify
    AFTER INSERT OR UPDATE OF withdrawn_at ON sla_corrections
    FOR EACH STATEMENT EXECUTE FUNCTION notify_accounting();

-- Maintenance of internal services changes no public figure, and must not be noticed.
CREATE OR REPLACE FUNCTION notify_public_maintenance() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    service_ids CONSTANT text[] := coalesce(OLD.service_ids, '{}') || coalesce(NEW.service_ids, '{}');
BEGIN
    IF EXISTS (SELECT FROM services WHERE public AND id = ANY (service_ids)) THEN
        PERFORM pg_notify('sla_monitor', 'public-services');
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER maintenance_announcements_notify
    AFTER INSERT OR UPDATE OR DELETE ON maintenance_announcements
    FOR EACH ROW EXECUTE FUNCTION notify_public_maintenance();

CREATE OR REPLACE TRIGGER maintenance_occurrences_notify
    AFTER INSERT OR UPDATE OR DELETE ON maintenance_occurrences
    FOR EACH ROW EXECUTE FUNCTION notify_public_maintenance();
