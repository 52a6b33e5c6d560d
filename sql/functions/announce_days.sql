-- Appends the event `uptime-updated` for each day that gets its first check or a worse check than before. Events of
-- private services are for staff only. `days` is an array of {service_id, day, worst}, with the worst severity of the
-- rows that have just been stored.
CREATE OR REPLACE FUNCTION announce_days(days jsonb) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
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
