-- Keeps a row in heartbeats, with a key, for each service of the type `heartbeat`. While the service is paused, no
-- report is due. When it is resumed, or its interval or configuration changes, the time of the next report is computed
-- again (worker/heartbeats.py).
CREATE OR REPLACE FUNCTION keep_heartbeat() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    IF NEW.type <> 'heartbeat' THEN
        DELETE FROM heartbeats WHERE service_id = NEW.id;
        RETURN NULL;
    END IF;
    INSERT INTO heartbeats (service_id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    IF TG_OP = 'UPDATE' AND (OLD.enabled, OLD.interval_seconds, OLD.check_config)
                            IS DISTINCT FROM (NEW.enabled, NEW.interval_seconds, NEW.check_config) THEN
        UPDATE heartbeats
        SET due_at      = NULL,
            late_at     = NULL,
            started_at  = CASE WHEN NEW.enabled THEN started_at END,
            recorded_at = CASE WHEN NEW.enabled AND OLD.enabled THEN recorded_at END,
            covered_to  = CASE WHEN NEW.enabled AND OLD.enabled THEN covered_to END
        WHERE service_id = NEW.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER services_heartbeat
    AFTER INSERT OR UPDATE ON services
    FOR EACH ROW EXECUTE FUNCTION keep_heartbeat();
