-- Services whose checks have stopped coming become unknown. Called every few seconds by every API process, since no prober
-- may be left to do it; the one that comes first finds something to do.
CREATE OR REPLACE FUNCTION expire_states() RETURNS integer
    LANGUAGE plpgsql AS
$$
DECLARE
    service_ids text[];
    lows        timestamptz[];
BEGIN
    IF NOT EXISTS (SELECT FROM latest_checks
                   WHERE NOT expired AND scheduled_at + check_lifetime(interval_seconds) < now()) THEN
        RETURN 0;
    END IF;
    PERFORM lock_recording();
    WITH dead AS (
        UPDATE latest_checks SET expired = true
        WHERE NOT expired AND scheduled_at + check_lifetime(interval_seconds) < now()
        RETURNING service_id, scheduled_at
    ), spans AS (
        SELECT service_id, min(scheduled_at) AS low FROM dead GROUP BY service_id
    )
    SELECT array_agg(service_id ORDER BY service_id), array_agg(low ORDER BY service_id) INTO service_ids, lows FROM spans;
    IF service_ids IS NULL THEN
        RETURN 0;
    END IF;
    PERFORM derive_states(service_ids, lows);
    RETURN cardinality(service_ids);
END
$$;
