-- The stored answers of the status page: see day_strips. Whoever writes them holds the recording lock.

-- Computes the strips of these services, or of all: the days up to `last_day`, all of which are below the watermark.
CREATE OR REPLACE FUNCTION write_strips(last_day date, service_ids text[] DEFAULT NULL) RETURNS void
    LANGUAGE sql AS
$$
INSERT INTO day_strips (service_id, upto, known, degraded, failed, down_seconds, covered_seconds)
WITH days AS MATERIALIZED (
    SELECT local_day_start(last_day - age, reporting_time_zone()) AS bucket, age, 1::bit(90) << age AS bit
    FROM generate_series(0, 89) AS age
    -- A date that the zone has skipped has no day.
    WHERE local_day_start(last_day - age, reporting_time_zone()) < local_day_start(last_day - age + 1, reporting_time_zone())
)
SELECT service_id,
       last_day,
       bit_or(bit),
       coalesce(bit_or(bit) FILTER (WHERE degraded + failed > 0), 0::bit(90)),
       coalesce(bit_or(bit) FILTER (WHERE failed > 0), 0::bit(90)),
       coalesce(sum(down_seconds) FILTER (WHERE age < 89), 0),
       coalesce(sum(covered_seconds) FILTER (WHERE age < 89), 0)
FROM rollups
JOIN days USING (bucket)
WHERE tier = 'daily' AND bucket >= (SELECT min(bucket) FROM days)
  AND (service_ids IS NULL OR service_id = ANY (service_ids))
GROUP BY service_id
ON CONFLICT (service_id) DO UPDATE
SET upto = excluded.upto, known = excluded.known, degraded = excluded.degraded, failed = excluded.failed,
    down_seconds = excluded.down_seconds, covered_seconds = excluded.covered_seconds
$$;

-- Late checks have changed closed days of these services.
CREATE OR REPLACE FUNCTION keep_strips(service_ids text[], times timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    last_day CONSTANT date := (SELECT max(upto) FROM day_strips);
    touched  text[];
BEGIN
    IF last_day IS NULL THEN
        RETURN;
    END IF;
    SELECT array_agg(DISTINCT late.service_id)
    INTO touched
    FROM unnest(service_ids, times) AS late (service_id, at)
    WHERE late.at < local_day_start(last_day + 1, reporting_time_zone());
    IF touched IS NOT NULL THEN
        PERFORM write_strips(last_day, touched);
    END IF;
END
$$;

-- Once a day, when yesterday is whole in the rollups.
CREATE OR REPLACE PROCEDURE renew_strips()
    LANGUAGE plpgsql AS
$$
DECLARE
    today date;
BEGIN
    PERFORM lock_recording();
    today := local_date(present(), reporting_time_zone());
    IF (SELECT max(upto) FROM day_strips) IS DISTINCT FROM today - 1
       AND rollup_watermark() >= local_day_start(today, reporting_time_zone()) THEN
        DELETE FROM day_strips;
        PERFORM write_strips(today - 1);
    END IF;
    COMMIT;
END
$$;
