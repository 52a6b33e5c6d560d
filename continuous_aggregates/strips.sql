-- The stored answers of the status page: see day_strips. Writers hold the recording lock.

-- Computes the strips of these services, or of all: the days up to `last_day`, all of which are below the watermark.
CREATE OR REPLACE FUNCTION write_strips(last_day date, service_ids text[] DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    -- Where the day after the last one begins, then each day back from there.
    bounds CONSTANT timestamptz[] := (SELECT array_agg(local_day_start(last_day + 1 - number, reporting_time_zone()) ORDER BY number)
                                      FROM generate_series(0, 90) AS number);
BEGIN
    INSERT INTO day_strips (service_id, upto, known, degraded, failed, down_seconds, covered_seconds)
    WITH days AS MATERIALIZED (
        SELECT bucket, age, 1::bit(90) << age AS bit
        FROM (
            SELECT bucket, number::integer - 2 AS age, lag(bucket) OVER (ORDER BY number) AS ends_at
            FROM unnest(bounds) WITH ORDINALITY AS starts (bucket, number)
        ) AS numbered
        -- A date that the zone has skipped has no day.
        WHERE bucket < ends_at
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
    WHERE tier = 'daily' AND bucket >= bounds[91] AND bucket < bounds[1]
      AND (service_ids IS NULL OR service_id = ANY (service_ids))
    GROUP BY service_id
    ON CONFLICT (service_id) DO UPDATE
    SET upto = excluded.upto, known = excluded.known, degraded = excluded.degraded, failed = excluded.failed,
        down_seconds = excluded.down_seconds, covered_seconds = excluded.covered_seconds;
END
$$;

-- The 89 days before today, as strips whose last digit is today's, which is 0. In the first minutes after midnight, when they are not
-- stored yet, they are computed.
CREATE OR REPLACE FUNCTION closed_strips(today date)
    RETURNS TABLE (service_id text, known bit(90), degraded bit(90), failed bit(90), down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
DECLARE
    zone CONSTANT text := reporting_time_zone();
BEGIN
    IF (SELECT max(upto) FROM day_strips) = today - 1 THEN
        RETURN QUERY
        SELECT service_id, known << 1, degraded << 1, failed << 1, down_seconds, covered_seconds FROM day_strips;
        RETURN;
    END IF;
    RETURN QUERY
    WITH days AS MATERIALIZED (
        SELECT local_day_start(today - age, zone) AS bucket, 1::bit(90) << age AS bit
        FROM generate_series(1, 89) AS age
        -- A date that the zone has skipped has no day.
        WHERE local_day_start(today - age, zone) < local_day_start(today - age + 1, zone)
    )
    SELECT service_id,
           bit_or(bit),
           coalesce(bit_or(bit) FILTER (WHERE worst >= 'po'), 0::bit(90)),
           coalesce(bit_or(bit) FILTER (WHERE worst = 'mo'), 0::bit(90)),
           sum(down_seconds)::bigint,
           sum(covered_seconds)::bigint
    FROM checks_daily
    JOIN days USING (bucket)
    WHERE bucket >= (SELECT min(bucket) FROM days) AND bucket < local_day_start(today, zone)
    GROUP BY service_id;
END
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

-- Once a day, when yesterday is whole in the rollups. While an installation of release 0.1 is upgraded, the rollups lack a past.
CREATE OR REPLACE PROCEDURE renew_strips()
    LANGUAGE plpgsql AS
$$
DECLARE
    today date;
BEGIN
    PERFORM lock_recording();
    today := local_date(present(), reporting_time_zone());
    IF (SELECT max(upto) FROM day_strips) IS DISTINCT FROM today - 1
       AND rollup_watermark() >= local_day_start(today, reporting_time_zone())
       AND NOT (SELECT legacy FROM rollup_state) THEN
        DELETE FROM day_strips;
        PERFORM write_strips(today - 1);
    END IF;
    COMMIT;
END
$$;
