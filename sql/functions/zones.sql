-- A local day begins with the first instant of its date and ends where the next one begins. Where clocks are turned
-- back to midnight or across it (America/Havana, Atlantic/Azores, America/St_Johns), midnight comes twice: the first
-- one counts. A date that a zone has skipped (Pacific/Apia, 2011-12-30) has no length. In every zone, each day since
-- 1990 begins with a whole quarter of an hour.

-- PostgreSQL interprets a local time that comes twice as the second one, and a skipped local time as the instant of the
-- change. The first one is found with the UTC offset of the day before.
CREATE OR REPLACE FUNCTION local_day_start(day date, zone text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS
$$
DECLARE
    midnight timestamptz;
    before   timestamptz;
    earlier  timestamptz;
BEGIN
    IF NOT isfinite(day) THEN
        RETURN day::timestamptz;
    END IF;
    midnight := day::timestamp AT TIME ZONE zone;
    before := midnight - interval '1 day';
    earlier := (day::timestamp - (before AT TIME ZONE zone - before AT TIME ZONE 'UTC')) AT TIME ZONE 'UTC';
    IF earlier < midnight AND (earlier AT TIME ZONE zone)::date >= day THEN
        RETURN earlier;
    END IF;
    RETURN midnight;
END
$$;

-- The local day of a moment. Where clocks are turned back across midnight, the second evening of the old date belongs
-- to the new day.
CREATE OR REPLACE FUNCTION local_date(moment timestamptz, zone text) RETURNS date
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS
$$
DECLARE
    day CONSTANT date := (moment AT TIME ZONE zone)::date;
BEGIN
    IF isfinite(day) AND local_day_start(day + 1, zone) <= moment THEN
        RETURN day + 1;
    END IF;
    RETURN day;
END
$$;

-- The start of the local day of a moment.
CREATE OR REPLACE FUNCTION local_day(moment timestamptz, zone text) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN local_day_start(local_date(moment, zone), zone);

-- The local days from that of `low` to that of `high`, in the zone of the installation; none if one of the two is
-- infinite. This is a loop, since it is called with each batch, mostly for one day, and the planner would assume
-- hundreds of rows for the same in SQL.
CREATE OR REPLACE FUNCTION local_days(low timestamptz, high timestamptz)
    RETURNS TABLE (day date, starts_at timestamptz, ends_at timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 2 AS
$$
DECLARE
    zone     CONSTANT text := reporting_time_zone();
    last_day CONSTANT date := local_date(high, zone);
BEGIN
    IF NOT isfinite(low) OR NOT isfinite(high) THEN
        RETURN;
    END IF;
    day := local_date(low, zone);
    starts_at := local_day_start(day, zone);
    WHILE day <= last_day LOOP
        ends_at := local_day_start(day + 1, zone);
        IF starts_at < ends_at THEN
            RETURN NEXT;
        END IF;
        day := day + 1;
        starts_at := ends_at;
    END LOOP;
END
$$;

-- The start of the day of the installation that a moment belongs to, which is its bucket in the tier 'daily'. With the rights of the
-- owner, as rollup_watermark() and open_bucket(): the views for analysts call these three.
CREATE OR REPLACE FUNCTION day_bucket(moment timestamptz) RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = public, pg_temp
    RETURN local_day(moment, reporting_time_zone());
