-- Appends the event `uptime-updated` for each day that gets its first check or a worse check than before. Events of
-- private services are for staff only. `days` is an array of {service_id, day, worst}, with the worst severity of the
-- rows that have just been stored. The status of days under an SLA policy does not follow from single checks: the worker
-- announces them (announce_accounted_days).
CREATE OR REPLACE FUNCTION announce_days(days jsonb) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    days := days_without_policy(days);
    IF days IS NULL THEN
        RETURN;
    END IF;
    PERFORM lock_events();
    INSERT INTO events (event, room, data)
    SELECT 'uptime-updated',
           room_of('uptime', services.public),
           jsonb_build_object('serviceId', worse.service_id, 'date', worse.day, 'status', worse.worst)
    FROM jsonb_to_recordset(days) AS worse (service_id text, day date, worst severity)
    JOIN services ON services.id = worse.service_id
    LEFT JOIN announced_days AS known ON known.service_id = worse.service_id AND known.day = worse.day
    WHERE known.worst IS NULL OR worse.worst > known.worst
    ORDER BY worse.day, worse.service_id;

    INSERT INTO announced_days AS known (service_id, day, worst)
    SELECT service_id, day, worst
    FROM jsonb_to_recordset(days) AS worse (service_id text, day date, worst severity)
    ORDER BY service_id, day
    ON CONFLICT (service_id, day) DO UPDATE SET worst = excluded.worst WHERE excluded.worst > known.worst;
END
$$;

-- The elements {service_id, day, …} of `days` to which no SLA policy applies. Wakes the worker if there are others.
CREATE OR REPLACE FUNCTION days_without_policy(days jsonb) RETURNS jsonb
    LANGUAGE plpgsql AS
$$
DECLARE
    zone    CONSTANT text := reporting_time_zone();
    without jsonb;
BEGIN
    IF NOT EXISTS (SELECT FROM sla_policy_versions) THEN
        RETURN days;
    END IF;
    WITH applied AS MATERIALIZED (
        SELECT service_id, during
        FROM sla_applied(ARRAY(SELECT DISTINCT day ->> 'service_id' FROM jsonb_array_elements(days) AS day), present())
    )
    SELECT jsonb_agg(given)
    INTO without
    FROM jsonb_array_elements(days) AS given
    WHERE NOT EXISTS (SELECT
                      FROM applied
                      WHERE service_id = given ->> 'service_id'
                        AND during && tstzrange(local_day_start((given ->> 'day')::date, zone),
                                                local_day_start((given ->> 'day')::date + 1, zone)));
    IF without IS DISTINCT FROM days THEN
        PERFORM pg_notify('sla_monitor', 'days');
    END IF;
    RETURN without;
END
$$;

-- Appends the event `uptime-updated` for days under an SLA policy whose status has changed, to better or worse. `days` is
-- an array of {service_id, day, status}, NULL for none. Of more than a thousand days only the newest are announced.
CREATE OR REPLACE FUNCTION announce_accounted_days(days jsonb) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF days IS NULL THEN
        RETURN;
    END IF;
    PERFORM lock_events();
    INSERT INTO events (event, room, data)
    SELECT 'uptime-updated',
           room_of('uptime', services.public),
           jsonb_build_object('serviceId', changed.service_id, 'date', changed.day, 'status', changed.status)
    FROM (
        SELECT service_id, day, status
        FROM jsonb_to_recordset(days) AS changed (service_id text, day date, status severity)
        ORDER BY day DESC, service_id
        LIMIT 1000
    ) AS changed
    JOIN services ON services.id = changed.service_id
    ORDER BY changed.day, changed.service_id;

    INSERT INTO announced_days (service_id, day, worst)
    SELECT service_id, day, status
    FROM jsonb_to_recordset(days) AS changed (service_id text, day date, status severity)
    ORDER BY service_id, day
    ON CONFLICT (service_id, day) DO UPDATE SET worst = excluded.worst;
END
$$;
