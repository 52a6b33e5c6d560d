-- This function and the next one search by time: few occurrences take place at one moment, but a service may have had thousands.
CREATE OR REPLACE FUNCTION in_maintenance(service text, moment timestamptz) RETURNS boolean
    LANGUAGE sql STABLE
    RETURN EXISTS (SELECT FROM maintenance_occurrences
                   WHERE tstzrange(starts_at, ends_at) @> moment AND service = ANY (service_ids));

-- When the maintenance that began at `since` was over; NULL without one.
CREATE OR REPLACE FUNCTION maintenance_ended(service text, since timestamptz, moment timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN (SELECT max(ends_at)
            FROM maintenance_occurrences
            WHERE tstzrange(starts_at, ends_at) && tstzrange(since, greatest(since, moment), '[]')
              AND ends_at <= moment AND service = ANY (service_ids));

-- The enabled services whose state does not agree with the plan: those that enter maintenance with its beginning, those that
-- leave it with its end.
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

-- Services enter maintenance when it begins and leave it when it is over. Called about every second by a
-- worker. One at a time, and no batch of checks meanwhile, as in record_checks.
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

    -- States are derived from the checks on that stand for the end of maintenance and for now, or from the last ones that did.
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
        -- Where no check is left nothing is derived.
        UPDATE service_states SET state = 'unknown', since = ended_at, maintained_until = ended_at
        FROM unnest(leaving, ends) AS gone (service_id, ended_at)
        WHERE service_states.service_id = gone.service_id
          AND state = 'maintenance' AND NOT in_maintenance(gone.service_id, present_clock());
    END IF;
    RETURN entered + coalesce(cardinality(leaving), 0);
END
$$;

CREATE OR REPLACE FUNCTION maintenance_status(maintenance_window uuid) RETURNS text
    LANGUAGE sql STABLE
    RETURN (SELECT CASE
                       WHEN bool_or(starts_at <= present()) THEN 'running'
                       WHEN count(*) > 0 THEN 'scheduled'
                       ELSE 'over'
                   END
            FROM maintenance_occurrences
            WHERE window_id = maintenance_window AND ends_at > present());

-- Writes when a window takes place from now on. What is over is not touched: a running occurrence goes on under the new plan,
-- or ends here; for other services it ends here, and the rest of it follows as another one. `starts` and `ends` are the new
-- plan, none overlapping the next.
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

-- A window that has never begun goes as if it had never been; of one that has, the past stays.
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

-- What the public sees of a window, while it is public: its texts, its times and its public services in their order.
CREATE OR REPLACE FUNCTION maintenance_shown(shown maintenance_windows) RETURNS jsonb
    LANGUAGE sql STABLE
    RETURN jsonb_build_array(
        shown.title, shown.description, shown.starts_at, shown.ends_at, shown.rrule, shown.time_zone, shown.deleted_at,
        ARRAY(SELECT services.id
              FROM unnest(shown.affected_services) WITH ORDINALITY AS named (id, position)
              JOIN services ON services.id = named.id
              WHERE services.public
              ORDER BY position));

-- Its trigger follows that of updated_at, by their names.
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

-- A window has changed. The event only names it: the API decides who may see what of it. It is public if the public saw the window
-- before or sees it now, and sees something else. Written at the end of the transaction: who appends an event keeps all others from it
-- until then, and hundreds of occurrences follow a window.
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
        -- What is no longer public must not be in a stale response either.
        PERFORM pg_notify('sla_monitor', 'public-services');
        PERFORM pg_notify('sla_monitor', 'services');  -- for API processes of the last release
    END IF;
    RETURN NULL;
END
$$;

-- Constraint triggers know no CREATE OR REPLACE.
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
