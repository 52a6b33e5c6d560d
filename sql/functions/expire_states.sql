-- The longest time that one check of a service may take, with all its attempts. Its result may be recorded this long
-- after the scheduled time.
CREATE OR REPLACE FUNCTION check_duration(timeout_ms integer, retries smallint) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timeout_ms * (1 + retries) * interval '1 millisecond';

-- Makes services without recent checks unknown; returns their number. A worker calls this every few seconds, since it
-- must happen without any prober.
CREATE OR REPLACE FUNCTION expire_states() RETURNS integer
    LANGUAGE plpgsql AS
$$
DECLARE
    service_ids text[];
    places      text[];
    ends        timestamptz[];
    expiries    timestamptz[];
BEGIN
    IF NOT EXISTS (SELECT FROM latest_checks
                   JOIN services ON services.id = service_id
                   WHERE NOT expired
                     AND scheduled_at + check_lifetime(latest_checks.interval_seconds) + check_duration(timeout_ms, retries)
                         < present()) THEN
        RETURN 0;
    END IF;
    PERFORM lock_recording();
    WITH outdated AS (
        UPDATE latest_checks SET expired = true
        FROM services
        WHERE services.id = service_id AND NOT expired
          AND scheduled_at + check_lifetime(latest_checks.interval_seconds) + check_duration(timeout_ms, retries) < present()
        RETURNING service_id, location, scheduled_at, latest_checks.interval_seconds
    )
    SELECT array_agg(service_id), array_agg(location), array_agg(scheduled_at + interval_seconds * interval '1 second'),
           array_agg(scheduled_at + check_lifetime(interval_seconds))
    INTO service_ids, places, ends, expiries
    FROM outdated;
    IF service_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM end_episodes(service_ids, places, ends, expiries);
    PERFORM derive_service_states(array_agg(service_id), array_agg(low))
    FROM (SELECT service_id, min(ends_at) AS low
          FROM unnest(service_ids, ends) AS ended (service_id, ends_at)
          GROUP BY service_id) AS touched;
    RETURN (SELECT count(DISTINCT id) FROM unnest(service_ids) AS id);
END
$$;

-- Ends the monitoring of a service that is paused or deleted: its last check stands until now, and its outage ends. All
-- its latest checks expire, so that after a pause the first check counts as a change, and not as the continuation of
-- the check before the pause.
CREATE OR REPLACE FUNCTION stop_watching(service text) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    moment   timestamptz;
    places   text[];
    ends     timestamptz[];
    expiries timestamptz[];
BEGIN
    PERFORM lock_recording();
    moment := present_clock();
    INSERT INTO service_pauses (service_id, paused_at) VALUES (service, moment) ON CONFLICT DO NOTHING;
    WITH standing AS (
        SELECT location, scheduled_at + interval_seconds * interval '1 second' AS due_at,
               scheduled_at + check_lifetime(interval_seconds) AS expires_at
        FROM latest_checks
        WHERE service_id = service AND NOT expired
    ), expired_now AS (
        UPDATE latest_checks SET expired = true WHERE service_id = service
    )
    SELECT array_agg(location), array_agg(least(due_at, moment)),
           array_agg(CASE WHEN due_at > moment THEN moment ELSE expires_at END)
    INTO places, ends, expiries
    FROM standing;
    IF places IS NOT NULL THEN
        PERFORM end_episodes(array_fill(service, ARRAY[cardinality(places)]), places, ends, expiries);
    END IF;
    -- Also ends the outage of a service whose checks had stopped before.
    PERFORM derive_service_states(ARRAY[service], ARRAY[least(moment, (SELECT min(at) FROM unnest(ends) AS at))]);
END
$$;

-- Keeps the states, pauses and latest checks of a service that is added, paused, resumed or deleted.
CREATE OR REPLACE FUNCTION note_pause() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM stop_watching(OLD.id);
        RETURN OLD;
    END IF;
    PERFORM lock_recording();
    UPDATE service_states SET state = 'unknown', since = present() WHERE service_id = NEW.id AND state <> 'unknown';
    IF NEW.enabled THEN
        UPDATE service_pauses SET resumed_at = greatest(present_clock(), paused_at) WHERE service_id = NEW.id AND resumed_at IS NULL;
        UPDATE latest_checks SET expired = true WHERE service_id = NEW.id;
    ELSE
        PERFORM stop_watching(NEW.id);
    END IF;
    IF TG_OP = 'INSERT' AND EXISTS (SELECT FROM episodes WHERE service_id = NEW.id) THEN
        -- A service with the id of a deleted one has its history: it is unknown since the last episode.
        INSERT INTO service_states (service_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
        PERFORM derive_service_states(ARRAY[NEW.id], ARRAY[(SELECT min(starts_at)
                                                            FROM episodes
                                                            WHERE service_id = NEW.id AND ends_at IS NULL)]);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_paused
    AFTER UPDATE OF enabled ON services
    FOR EACH ROW WHEN (OLD.enabled <> NEW.enabled)
    EXECUTE FUNCTION note_pause();

CREATE OR REPLACE TRIGGER services_entered
    AFTER INSERT ON services
    FOR EACH ROW EXECUTE FUNCTION note_pause();

CREATE OR REPLACE TRIGGER services_left
    BEFORE DELETE ON services
    FOR EACH ROW EXECUTE FUNCTION note_pause();
