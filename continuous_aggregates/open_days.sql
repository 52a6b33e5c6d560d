-- The figures of the day that is not over yet. latest_checks has them for each service and location, for the local day
-- of its latest check: record_checks_v2() adds each check once. NULL means unknown: then they are counted from rollups
-- and raw checks.

-- Counts the figures of one service and location on the day that begins at `low` and ends at `high`. No row if it has
-- no checks.
CREATE OR REPLACE FUNCTION counted_day(service text, place text, low timestamptz, high timestamptz)
    RETURNS TABLE (worst severity, down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE ROWS 1 AS
$$
#variable_conflict use_column
DECLARE
    live_from CONSTANT timestamptz := greatest(rollup_watermark(), low);
BEGIN
    RETURN QUERY
    SELECT CASE WHEN sum(failed) > 0 THEN 'mo' WHEN sum(degraded) > 0 THEN 'po' ELSE 'o' END::severity,
           sum(down_seconds)::bigint,
           sum(covered_seconds)::bigint
    FROM (
        SELECT degraded, failed, down_seconds, covered_seconds
        FROM rollups
        WHERE service_id = service AND tier = 'daily' AND bucket = low AND location = place
        UNION ALL
        SELECT degraded, failed, down_seconds, covered_seconds
        FROM figures_of_checks(live_from, high)
        WHERE service_id = service AND location = place
    ) AS parts
    HAVING count(*) > 0;
END
$$;

-- A step of record_checks_v2: adds the checks of ordered_checks that are not fresh to the figures of their service and location, if
-- these are of the same day.
CREATE OR REPLACE FUNCTION add_late_to_open_days() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    UPDATE latest_checks
    SET day_worst           = greatest(latest_checks.day_worst, added.worst),
        day_down_seconds    = latest_checks.day_down_seconds + added.down_seconds,
        day_covered_seconds = latest_checks.day_covered_seconds + added.covered_seconds
    FROM (
        SELECT service_id, location, day, max(severity) AS worst, sum(interval_seconds) AS covered_seconds,
               coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0) AS down_seconds
        FROM ordered_checks
        WHERE NOT fresh
        GROUP BY service_id, location, day
    ) AS added
    WHERE latest_checks.service_id = added.service_id AND latest_checks.location = added.location AND latest_checks.day = added.day;
END
$$;

-- Counts the unknown figures of latest_checks. The caller holds the recording lock. While an installation of release
-- 0.1 is upgraded, the rollups lack checks, and nothing is counted.
CREATE OR REPLACE FUNCTION count_open_days() RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    zone CONSTANT text := reporting_time_zone();
BEGIN
    IF (SELECT legacy FROM rollup_state) THEN
        RETURN;
    END IF;
    UPDATE latest_checks
    SET day_worst           = counted.worst,
        day_down_seconds    = counted.down_seconds,
        day_covered_seconds = counted.covered_seconds
    FROM (
        SELECT service_id, location, figures.worst, figures.down_seconds, figures.covered_seconds
        FROM latest_checks AS uncounted
        CROSS JOIN LATERAL counted_day(service_id, location, local_day_start(day, zone), local_day_start(day + 1, zone)) AS figures
        WHERE day_covered_seconds IS NULL
    ) AS counted
    WHERE latest_checks.service_id = counted.service_id AND latest_checks.location = counted.location;
END
$$;

-- Stores the time of a latest check whose service or location is deleted, since its checks of today still count
-- (figures_of_day).
CREATE OR REPLACE FUNCTION note_left() RETURNS trigger
    LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO left_checks AS known (service_id, location, scheduled_at)
    VALUES (OLD.service_id, OLD.location, OLD.scheduled_at)
    ON CONFLICT (service_id, location) DO UPDATE SET scheduled_at = greatest(known.scheduled_at, excluded.scheduled_at);
    DELETE FROM left_checks WHERE scheduled_at < present() - interval '3 days';
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER latest_checks_left
    AFTER DELETE ON latest_checks
    FOR EACH ROW EXECUTE FUNCTION note_left();
