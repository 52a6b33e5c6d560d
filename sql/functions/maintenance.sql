-- Whether a service is under maintenance at a moment. This function and the next one search by time: few occurrences
-- take place at one moment, but a service may have had thousands.
CREATE OR REPLACE FUNCTION in_maintenance(service text, moment timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM maintenance_occurrences
                   WHERE tstzrange(starts_at, ends_at) @> moment AND service = ANY (service_ids));

-- The end of the maintenance that began at `since`; NULL if none has ended up to `moment`.
CREATE OR REPLACE FUNCTION maintenance_ended(service text, since timestamptz, moment timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT max(ends_at)
            FROM maintenance_occurrences
            WHERE tstzrange(starts_at, ends_at) && tstzrange(since, greatest(since, moment), '[]')
              AND ends_at <= moment AND service = ANY (service_ids));

-- The enabled services whose state does not agree with the plan: those that enter maintenance (`begins`), with its
-- beginning, and those that leave it, with its end.
CREATE OR REPLACE FUNCTION due_maintenance(moment timestamptz)
    RETURNS TABLE (service_id text, begins boolean, began_at timestamptz, ended_at timestamptz)
    LANGUAGE sql STABLE AS
$$
WITH running AS (
    SELECT service_id, min(starts_at) AS began_at
    FROM maintenance_occurrences
    CROSS JOIN unnest(service_ids) AS service_id
    WHERE tstzrange(starts_at, ends_at) @> moment
    GROUP BY service_id
)
SELECT service_states.service_id,
       running.service_id IS NOT NULL,
       running.began_at,
       CASE WHEN running.service_id IS NULL
           THEN coalesce(maintenance_ended(service_states.service_id, service_states.since, moment), moment)
       END
FROM service_states
JOIN services ON services.id = service_states.service_id
LEFT JOIN running ON running.service_id = service_states.service_id
WHERE services.enabled AND (service_states.state = 'maintenance') <> (running.service_id IS NOT NULL)
$$;

-- Services enter maintenance when it begins and leave it when it is over; returns their number. A worker calls this
-- about every second. The recording lock is held, so that no batch of checks is recorded meanwhile.
CREATE OR REPLACE FUNCTION turn_maintenance() RETURNS integer
    LANGUAGE plpgsql AS
$$
DECLARE
    moment  timestamptz;
    leaving text[];
    lows    timestamptz[];
    ends    timestamptz[];
    entered integer;
BEGIN
    IF NOT EXISTS (SELECT FROM due_maintenance(present())) THEN
        RETURN 0;
    END IF;
    PERFORM lock_recording();
    moment := present_clock();

    UPDATE service_states SET state = 'maintenance', since = began_at
    FROM due_maintenance(moment) AS due
    WHERE service_states.service_id = due.service_id AND begins;
    GET DIAGNOSTICS entered = ROW_COUNT;

    -- States are derived from the end of maintenance on, or from an earlier time: the oldest of the latest checks that
    -- have not expired, or the newest of them if all have expired.
    SELECT array_agg(service_id ORDER BY service_id),
           array_agg(least(low, ended_at) ORDER BY service_id),
           array_agg(ended_at ORDER BY service_id)
    INTO leaving, lows, ends
    FROM due_maintenance(moment)
    CROSS JOIN LATERAL (
        SELECT coalesce(min(scheduled_at) FILTER (WHERE NOT expired), max(scheduled_at)) AS low
        FROM latest_checks
        WHERE latest_checks.service_id = due_maintenance.service_id
    ) AS latest
    WHERE NOT begins;
    IF leaving IS NOT NULL THEN
        PERFORM derive_service_states(leaving, lows);
        -- No state is derived for a service without checks.
        UPDATE service_states SET state = 'unknown', since = ended_at, maintained_until = ended_at
        FROM unnest(leaving, ends) AS gone (service_id, ended_at)
        WHERE service_states.service_id = gone.service_id
          AND state = 'maintenance' AND NOT in_maintenance(gone.service_id, present_clock());
    END IF;
    RETURN entered + coalesce(cardinality(leaving), 0);
END
$$;

-- The status of a window by its occurrences that are not over: running, scheduled, or over if there are none.
CREATE OR REPLACE FUNCTION maintenance_status(maintenance_window uuid) RETURNS text
    LANGUAGE sql STABLE
    RETURN (SELECT CASE
                       WHEN bool_or(starts_at <= present()) THEN 'running'
                       WHEN count(*) > 0 THEN 'scheduled'
                       ELSE 'over'
                   END
            FROM maintenance_occurrences
            WHERE window_id = maintenance_window AND ends_at > present());

-- Replaces the occurrences of a window from now on by `starts` and `ends`, which do not overlap. Past occurrences stay.
-- A running occurrence gets the end that the new plan has for this time, or ends now. If the affected services have
-- changed, it ends now, and the rest of it follows as another occurrence.
CREATE OR REPLACE FUNCTION plan_maintenance(planned uuid, starts timestamptz[], ends timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    services CONSTANT text[] := (SELECT affected_services FROM maintenance_windows WHERE id = planned);
BEGIN
    DELETE FROM maintenance_occurrences WHERE window_id = planned AND starts_at >= present();
    UPDATE maintenance_occurrences
    SET ends_at = coalesce((SELECT plan.ends_at
                            FROM unnest(starts, ends) AS plan (starts_at, ends_at)
                            WHERE plan.starts_at <= present() AND plan.ends_at > present()
                              AND service_ids @> services AND service_ids <@ services), present())
    WHERE window_id = planned AND ends_at > present();
    INSERT INTO maintenance_occurrences (window_id, starts_at, ends_at, service_ids)
    SELECT planned, greatest(plan.starts_at, present()), plan.ends_at, services
    FROM unnest(starts, ends) AS plan (starts_at, ends_at)
    WHERE plan.ends_at > present()
      AND (plan.starts_at > present()
           OR NOT EXISTS (SELECT FROM maintenance_occurrences WHERE window_id = planned AND ends_at > present()));
END
$$;

-- Cancels a window. A window that has never begun is deleted; otherwise its past occurrences stay, and it is marked as
-- deleted.
CREATE OR REPLACE FUNCTION cancel_maintenance(cancelled uuid) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM plan_maintenance(cancelled, '{}', '{}');
    IF EXISTS (SELECT FROM maintenance_occurrences WHERE window_id = cancelled) THEN
        UPDATE maintenance_windows SET deleted_at = present(), version = version + 1 WHERE id = cancelled;
    ELSE
        DELETE FROM maintenance_windows WHERE id = cancelled;
    END IF;
END
$$;

-- The public fields of a window: its texts, its times, and its public services in their order.
CREATE OR REPLACE FUNCTION maintenance_shown(shown maintenance_windows) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_array(
        shown.title, shown.description, shown.starts_at, shown.ends_at, shown.rrule, shown.time_zone, shown.deleted_at,
        ARRAY(SELECT services.id
              FROM unnest(shown.affected_services) WITH ORDINALITY AS named (id, position)
              JOIN services ON services.id = named.id
              WHERE services.public
              ORDER BY position));

-- Increments the public version when the public fields change. The trigger runs after maintenance_windows_updated_at,
-- since triggers run in the order of their names.
CREATE OR REPLACE FUNCTION version_maintenance() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    changed CONSTANT boolean := NEW.public AND (TG_OP = 'INSERT' OR NOT OLD.public OR maintenance_shown(NEW) <> maintenance_shown(OLD));
BEGIN
    NEW.public_version := CASE TG_OP WHEN 'UPDATE' THEN OLD.public_version ELSE 0 END + changed::integer;
    NEW.public_updated_at := CASE WHEN changed OR TG_OP = 'INSERT' THEN NEW.updated_at ELSE OLD.public_updated_at END;
    RETURN NEW;
END
$$;

CREATE OR REPLACE TRIGGER maintenance_windows_versioned
    BEFORE INSERT OR UPDATE OF version ON maintenance_windows
    FOR EACH ROW EXECUTE FUNCTION version_maintenance();

-- Appends the event of a changed window. The event has only the id: the API decides which clients may see which fields.
-- It is public if the window was public before or is public now, and its public fields have changed. It is appended at
-- the end of the transaction, since the lock of events is held from then on, and a window may have hundreds of
-- occurrences.
CREATE OR REPLACE FUNCTION announce_maintenance() RETURNS trigger
    LANGUAGE plpgsql AS
$$
DECLARE
    shown CONSTANT boolean := CASE TG_OP
        WHEN 'UPDATE' THEN OLD.public <> NEW.public OR NEW.public_version <> OLD.public_version
        WHEN 'INSERT' THEN NEW.public
        ELSE OLD.public
    END;
BEGIN
    PERFORM append_event('maintenance-updated', CASE WHEN NOT shown THEN 'staff' END,
                         jsonb_build_object('maintenanceId', coalesce(NEW.id, OLD.id)));
    IF shown THEN
        -- Fields that are no longer public must not be in a stale response either.
        PERFORM pg_notify('sla_monitor', 'public-services');
        PERFORM pg_notify('sla_monitor', 'services');  -- for API processes of the last release
    END IF;
    RETURN NULL;
END
$$;

-- CREATE OR REPLACE does not exist for constraint triggers.
DROP TRIGGER IF EXISTS maintenance_windows_announced ON maintenance_windows;
CREATE CONSTRAINT TRIGGER maintenance_windows_announced
    AFTER INSERT OR DELETE OR UPDATE OF version ON maintenance_windows DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION announce_maintenance();

CREATE OR REPLACE TRIGGER maintenance_windows_updated_at
    BEFORE UPDATE OF version ON maintenance_windows
    FOR EACH ROW EXECUTE FUNCTION touch_updated_at();

CREATE OR REPLACE TRIGGER maintenance_windows_audited
    AFTER INSERT OR UPDATE OR DELETE ON maintenance_windows
    FOR EACH ROW EXECUTE FUNCTION audit_change('maintenance', '', 'updated_at,created_at,created_by,version,expanded_until,public_version,public_updated_at');
