-- How long one check of a service may take, all its attempts together: so long after it is due its verdict may still come.
CREATE OR REPLACE FUNCTION check_duration(timeout_ms integer, retries smallint) RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN timeout_ms * (1 + retries) * interval '1 millisecond';

-- Services whose checks have stopped coming become unknown. Called every few seconds by every API process, since no prober
-- may be left to do it; the one that comes first finds something to do.
CREATE OR REPLACE FUNCTION expire_states() RETURNS integer
    LANGUAGE plpgsql AS
$$
DECLARE
    service_ids text[];
    places      text[];
    times       timestamptz[];
BEGIN
    IF NOT EXISTS (SELECT FROM latest_checks
                   JOIN services ON services.id = service_id
                   WHERE NOT expired
                     AND scheduled_at + check_lifetime(latest_checks.interval_seconds) + check_duration(timeout_ms, retries)
                         < present()) THEN
        RETURN 0;
    END IF;
    PERFORM lock_recording();
    WITH dead AS (
        UPDATE latest_checks SET expired = true
        FROM services
        WHERE services.id = service_id AND NOT expired
          AND scheduled_at + check_lifetime(latest_checks.interval_seconds) + check_duration(timeout_ms, retries) < present()
        RETURNING service_id, location, scheduled_at
    )
    SELECT array_agg(service_id), array_agg(location), array_agg(scheduled_at) INTO service_ids, places, times FROM dead;
    IF service_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM derive_changes(service_ids, places, times);
    RETURN (SELECT count(DISTINCT id) FROM unnest(service_ids) AS id);
END
$$;

-- A service that is paused or deleted is not watched: its last check speaks until now, its outage ends. When it goes on, the check
-- that was under way meanwhile must not stand for it: its first new check has to be news.
CREATE OR REPLACE FUNCTION stop_watching(service text) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    moment timestamptz;
    places text[];
    times  timestamptz[];
BEGIN
    PERFORM lock_recording();
    moment := present_clock();
    INSERT INTO service_pauses (service_id, paused_at) VALUES (service, moment) ON CONFLICT DO NOTHING;
    WITH silenced AS (
        UPDATE latest_checks SET expired = true WHERE service_id = service RETURNING location, scheduled_at
    )
    SELECT array_agg(location), array_agg(scheduled_at) INTO places, times FROM silenced;
    IF places IS NOT NULL THEN
        PERFORM derive_changes(array_fill(service, ARRAY[cardinality(places)]), places, times);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION note_pause() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF TG_OP = 'DELETE' THEN
        PERFORM stop_watching(OLD.id);
        RETURN OLD;
    END IF;
    IF NEW.enabled THEN
        PERFORM lock_recording();
        UPDATE service_pauses SET resumed_at = greatest(present_clock(), paused_at) WHERE service_id = NEW.id AND resumed_at IS NULL;
        UPDATE latest_checks SET expired = true WHERE service_id = NEW.id;
    ELSE
        PERFORM stop_watching(NEW.id);
    END IF;
    UPDATE service_states SET state = 'unknown', since = present() WHERE service_id = NEW.id AND state <> 'unknown';
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
