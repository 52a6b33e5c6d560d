-- The first step of record_incoming_checks: moves the checks that cannot be stored from incoming_checks to parked_checks,
-- each with the reason. Afterwards every row of incoming_checks can be stored. Returns the number of parked checks.
--
-- `service_ids` are the services of the batch, or NULL: see chosen_services. Checks from before `oldest` are outside the retention.
CREATE OR REPLACE FUNCTION park_checks(oldest timestamptz, service_ids text[]) RETURNS bigint
    LANGUAGE plpgsql AS
$$
DECLARE
    places  tid[];
    reasons text[];
BEGIN
    SELECT array_agg(place), array_agg(reason)
    INTO places, reasons
    FROM (
        SELECT batch.ctid AS place,
               CASE
                   WHEN known_services.id IS NULL THEN 'unknown service'
                   WHEN known_locations.id IS NULL THEN 'unknown location'
                   WHEN num_nulls(scheduled_at, finished_at, interval_seconds, success, severity, attempts) > 0 THEN 'incomplete'
                   WHEN scheduled_at > present() + interval '5 minutes' THEN 'from the future'
                   WHEN scheduled_at < oldest THEN 'older than retention'
                   WHEN finished_at < scheduled_at - interval '1 minute' THEN 'finished before it began'
                   WHEN severity NOT IN ('o', 'po', 'mo') THEN 'severity is none of o, po, mo'
                   WHEN success = (severity = 'mo') THEN 'success contradicts severity'
                   WHEN interval_seconds NOT BETWEEN 1 AND 86400 THEN 'interval out of range'
                   WHEN attempts NOT BETWEEN 1 AND 100 THEN 'attempts out of range'
                   WHEN status_code NOT BETWEEN 100 AND 999 THEN 'status code out of range'
                   WHEN least(total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms) < 0
                     OR greatest(total_ms, dns_ms, connect_ms, tls_ms, first_byte_ms) > 1e7 THEN 'time out of range'
                   WHEN error_type NOT IN ('timeout', 'connection_error', 'dns_error', 'tls_error', 'http_error',
                                           'assertion_failed', 'unknown_error') THEN 'unknown error type'
               END AS reason
        FROM incoming_checks AS batch
        LEFT JOIN chosen_services(service_ids) AS known_services ON known_services.id = batch.service_id
        LEFT JOIN locations AS known_locations ON known_locations.id = batch.location
        -- OFFSET 0 keeps the planner from pulling the subquery up: each reason is computed once.
        OFFSET 0
    ) AS examined
    WHERE reason IS NOT NULL;

    IF places IS NULL THEN
        RETURN 0;
    END IF;
    WITH refused AS (
        DELETE FROM incoming_checks AS batch
        USING unnest(places, reasons) AS examined (place, reason)
        WHERE batch.ctid = place
        RETURNING reason, to_jsonb(batch) AS data
    )
    INSERT INTO parked_checks (reason, data)
    SELECT reason, data FROM refused;
    RETURN cardinality(places);
END
$$;

-- The services with these ids, or all services if `ids` is NULL. One plan serves small batches, which look single
-- services up, and large ones, for which reading all services takes less time.
CREATE OR REPLACE FUNCTION chosen_services(ids text[])
    RETURNS TABLE (id text, enabled boolean, timeout_ms integer, retries smallint)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT services.id, services.enabled, services.timeout_ms, services.retries FROM services WHERE ids IS NULL
    UNION ALL
    SELECT services.id, services.enabled, services.timeout_ms, services.retries FROM services WHERE services.id = ANY (ids);
END;
