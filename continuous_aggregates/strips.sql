-- The stored days of the status page: see day_strips. Writers hold the recording lock.

-- The 90 days up to `last_day`: one bit per day, the last day lowest; seconds are those of the last 89 days. Computed
-- from the rollups, and from the raw checks of those days that are not in them yet.
CREATE OR REPLACE FUNCTION strips_upto(last_day date)
    RETURNS TABLE (service_id text, known bit(90), degraded bit(90), failed bit(90), down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
DECLARE
    -- The start of the day after the last one, then the starts of each day before it.
    bounds    CONSTANT timestamptz[] := (SELECT array_agg(local_day_start(last_day + 1 - number, reporting_time_zone()) ORDER BY number)
                                         FROM generate_series(0, 90) AS number);
    live_from CONSTANT timestamptz   := greatest(rollup_watermark(), bounds[91]);
BEGIN
    RETURN QUERY
    WITH days AS MATERIALIZED (
        SELECT starts_at, ends_at, age, 1::bit(90) << age AS bit
        FROM (
            SELECT starts_at, number::integer - 2 AS age, lag(starts_at) OVER (ORDER BY number) AS ends_at
            FROM unnest(bounds) WITH ORDINALITY AS starts (starts_at, number)
        ) AS numbered
        -- A date that the zone has skipped has no day.
        WHERE starts_at < ends_at
    ), figures AS (
        SELECT service_id, age, bit, degraded, failed, down_seconds, covered_seconds
        FROM rollups
        JOIN days ON bucket = starts_at
        WHERE tier = 'daily' AND bucket >= bounds[91] AND bucket < bounds[1]
        UNION ALL
        SELECT service_id, age, bit, degraded, failed, down_seconds, covered_seconds
        FROM figures_of_checks(live_from, bounds[1])
        JOIN days ON bucket >= starts_at AND bucket < ends_at
    )
    SELECT service_id,
           bit_or(bit),
           coalesce(bit_or(bit) FILTER (WHERE degraded + failed > 0), 0::bit(90)),
           coalesce(bit_or(bit) FILTER (WHERE failed > 0), 0::bit(90)),
           coalesce(sum(down_seconds) FILTER (WHERE age < 89), 0)::bigint,
           coalesce(sum(covered_seconds) FILTER (WHERE age < 89), 0)::bigint
    FROM figures
    GROUP BY service_id;
END
$$;

-- Adds the late checks in `folded` to the closed days of their services.
CREATE OR REPLACE FUNCTION add_to_strips() RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    last_day CONSTANT date        := (SELECT max(upto) FROM day_strips);
    earliest CONSTANT timestamptz := (SELECT min(bucket) FROM folded);
    latest   CONSTANT timestamptz := (SELECT max(bucket) FROM folded);
BEGIN
    IF last_day IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO day_strips AS stored (service_id, upto, known, degraded, failed, down_seconds, covered_seconds)
    SELECT service_id,
           last_day,
           bit_or(bit),
           coalesce(bit_or(bit) FILTER (WHERE degraded + failed > 0), 0::bit(90)),
           coalesce(bit_or(bit) FILTER (WHERE failed > 0), 0::bit(90)),
           coalesce(sum(down_seconds) FILTER (WHERE age < 89), 0),
           coalesce(sum(covered_seconds) FILTER (WHERE age < 89), 0)
    FROM (
        SELECT starts_at, ends_at, last_day - day AS age, 1::bit(90) << last_day - day AS bit
        FROM local_days(earliest, latest)
        WHERE last_day - day BETWEEN 0 AND 89
    ) AS days
    JOIN folded ON bucket >= starts_at AND bucket < ends_at
    GROUP BY service_id
    ON CONFLICT (service_id) DO UPDATE
    SET known           = stored.known | excluded.known,
        degraded        = stored.degraded | excluded.degraded,
        failed          = stored.failed | excluded.failed,
        down_seconds    = stored.down_seconds + excluded.down_seconds,
        covered_seconds = stored.covered_seconds + excluded.covered_seconds;
END
$$;

-- Stores the strips once a day, when the rollups have all of yesterday; not while an installation of release 0.1 is
-- upgraded, since the rollups lack the past then. Each call also counts the figures of today that are unknown: an
-- upgrade sets them to NULL.
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
        INSERT INTO day_strips (service_id, upto, known, degraded, failed, down_seconds, covered_seconds)
        SELECT service_id, today - 1, known, degraded, failed, down_seconds, covered_seconds
        FROM strips_upto(today - 1) AS strips;
    END IF;
    PERFORM count_open_days();
    COMMIT;
END
$$;

-- The days without a policy of services that also have days with one are in sla_strips too, which are out of date now.
CREATE OR REPLACE FUNCTION note_changed_strips() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO sla_changed_days (service_id, first_day)
    SELECT service_id, 'infinity' FROM changed JOIN sla_strips USING (service_id) WHERE accounted AND sla_strips.upto IS NOT NULL;
    IF FOUND THEN
        PERFORM pg_notify('sla_monitor', 'days');
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER day_strips_inserted
    AFTER INSERT ON day_strips REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_strips();

CREATE OR REPLACE TRIGGER day_strips_updated
    AFTER UPDATE ON day_strips REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_strips();

CREATE OR REPLACE TRIGGER day_strips_deleted
    AFTER DELETE ON day_strips REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION note_changed_strips();
