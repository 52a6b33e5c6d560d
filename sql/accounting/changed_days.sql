-- Triggers that mark stored days as out of date (note_changed_days) when something changes that they are computed from. Changes of
-- episodes are marked by the functions that change them.

-- The services that are, or were at some time, concerned by a policy or correction.
CREATE OR REPLACE FUNCTION sla_services_concerned(scope text, subject text) RETURNS text[]
    LANGUAGE sql STABLE
    RETURN ARRAY(SELECT DISTINCT service_id
                 FROM service_memberships
                 WHERE sla_concerns(scope, subject, service_id, group_name, tags));

-- A correction may lengthen or shorten an outage that began before it: the shortest outage is at most a day.
CREATE OR REPLACE FUNCTION note_changed_spans() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM note_changed_days(sla_services_concerned(scope, subject), since)
    FROM (
        SELECT scope, subject, min(lower(span)) - interval '1 day' AS since
        FROM changed
        JOIN sla_corrections ON id = correction_id
        GROUP BY scope, subject
    ) AS corrections;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER sla_correction_spans_change_days
    AFTER INSERT ON sla_correction_spans REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_spans();

CREATE OR REPLACE TRIGGER sla_correction_spans_deletion_changes_days
    AFTER DELETE ON sla_correction_spans REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_spans();

CREATE OR REPLACE FUNCTION note_changed_correction() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM note_changed_days(sla_services_concerned(NEW.scope, NEW.subject), min(lower(span)) - interval '1 day')
    FROM sla_correction_spans
    WHERE correction_id = NEW.id;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER sla_corrections_change_days
    AFTER UPDATE OF withdrawn_at ON sla_corrections
    FOR EACH ROW EXECUTE FUNCTION note_changed_correction();

CREATE OR REPLACE FUNCTION note_changed_policy() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    changed CONSTANT sla_policy_versions := coalesce(NEW, OLD);
    policy  sla_policies;
BEGIN
    SELECT * INTO policy FROM sla_policies WHERE id = changed.policy_id;
    PERFORM note_changed_days(
        -- A policy that is being deleted is not there any more.
        CASE WHEN policy.id IS NULL THEN sla_services_concerned('everything', NULL)
             ELSE sla_services_concerned(policy.scope, policy.subject) END,
        local_day_start(least(NEW.valid_from, OLD.valid_from), changed.time_zone) - interval '1 day');
    RETURN NULL;
END
$$;

-- Not for any UPDATE: deleting a user updates created_by.
CREATE OR REPLACE TRIGGER sla_policy_versions_change_days
    AFTER INSERT OR DELETE OR UPDATE OF valid_from, ended, time_zone, service_hours, holiday_calendar, maintenance, announced_minutes,
                                        degraded_weight, unknown, shortest_outage_seconds, quorum, quorum_locations, recorded_at
    ON sla_policy_versions
    FOR EACH ROW EXECUTE FUNCTION note_changed_policy();

CREATE OR REPLACE FUNCTION note_changed_holidays() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    -- The day begins in the time zone of the policy, which may be up to a day earlier.
    PERFORM note_changed_days(sla_services_concerned('everything', NULL), min(day)::timestamptz - interval '2 days') FROM changed;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER holidays_change_days
    AFTER INSERT ON holidays REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_holidays();

CREATE OR REPLACE TRIGGER holidays_deletion_changes_days
    AFTER DELETE ON holidays REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_holidays();

-- A membership that begins or ends in the past. note_membership() writes none but that of a new service.
CREATE OR REPLACE FUNCTION note_changed_membership() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    since CONSTANT timestamptz := CASE TG_OP
        WHEN 'INSERT' THEN coalesce(lower(NEW.valid), '-infinity')
        WHEN 'DELETE' THEN coalesce(lower(OLD.valid), '-infinity')
        ELSE CASE WHEN (OLD.service_id, OLD.group_name, OLD.tags, lower(OLD.valid))
                       IS NOT DISTINCT FROM (NEW.service_id, NEW.group_name, NEW.tags, lower(NEW.valid))
                 THEN least(upper(OLD.valid), upper(NEW.valid))
                 ELSE least(coalesce(lower(OLD.valid), '-infinity'), coalesce(lower(NEW.valid), '-infinity'))
             END
    END;
BEGIN
    PERFORM note_changed_days(ARRAY[coalesce(NEW.service_id, OLD.service_id)], since);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER service_memberships_change_days
    AFTER INSERT OR UPDATE OR DELETE ON service_memberships
    FOR EACH ROW EXECUTE FUNCTION note_changed_membership();

CREATE OR REPLACE FUNCTION note_changed_occurrence() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM note_changed_days(coalesce(OLD.service_ids, '{}') || coalesce(NEW.service_ids, '{}'), least(OLD.starts_at, NEW.starts_at));
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER maintenance_occurrences_change_days
    AFTER INSERT OR UPDATE OR DELETE ON maintenance_occurrences
    FOR EACH ROW EXECUTE FUNCTION note_changed_occurrence();

CREATE OR REPLACE FUNCTION note_changed_announcement() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM note_changed_days(coalesce(OLD.service_ids, '{}') || coalesce(NEW.service_ids, '{}'), least(lower(OLD.span), lower(NEW.span)));
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER maintenance_announcements_change_days
    AFTER INSERT OR UPDATE OR DELETE ON maintenance_announcements
    FOR EACH ROW EXECUTE FUNCTION note_changed_announcement();

-- The days of another time zone are other days.
CREATE OR REPLACE FUNCTION delete_sla_days() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    DELETE FROM sla_days;
    DELETE FROM sla_strips;
    DELETE FROM sla_changed_days;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER installation_changes_days
    AFTER UPDATE OF time_zone ON installation
    FOR EACH ROW WHEN (OLD.time_zone <> NEW.time_zone)
    EXECUTE FUNCTION delete_sla_days();

CREATE OR REPLACE TRIGGER sla_policies_change_days
    AFTER UPDATE OF scope, subject ON sla_policies
    FOR EACH STATEMENT EXECUTE FUNCTION delete_sla_days();
