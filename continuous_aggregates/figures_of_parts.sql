-- The checks of the parts of SLA accounting, from the rollups. A quarter of an hour belongs to the part in which it begins.
-- Every local day begins with a quarter, so the checks of whole local days are exact in every time zone.

-- A window as sections of the largest tiers that fit: the days of the reporting time zone, around them hours, around these
-- quarters of an hour.
CREATE OR REPLACE FUNCTION sections_of_window(low timestamptz, high timestamptz)
    RETURNS TABLE (tier rollup_tier, first_bucket timestamptz, end_bucket timestamptz)
    LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 5 AS
$$
DECLARE
    origin     CONSTANT timestamptz := '2000-01-01 00:00Z';
    tick       CONSTANT interval    := '1 microsecond';
    zone       CONSTANT text        := reporting_time_zone();
    first_edge CONSTANT timestamptz := date_bin('15 minutes', low + interval '15 minutes' - tick, origin);
    last_edge  CONSTANT timestamptz := date_bin('15 minutes', high + interval '15 minutes' - tick, origin);
    first_day  CONSTANT timestamptz := least(local_day_start(local_date(first_edge - tick, zone) + 1, zone), last_edge);
    last_day   CONSTANT timestamptz := greatest(local_day(last_edge, zone), first_day);
BEGIN
    RETURN QUERY
    SELECT section.tier, section.first_bucket, section.end_bucket
    FROM (VALUES (first_edge, first_day), (last_day, last_edge)) AS rest (low, high)
    CROSS JOIN LATERAL (
        SELECT date_bin('1 hour', rest.low + interval '1 hour' - tick, origin) AS first_hour,
               date_bin('1 hour', rest.high, origin)                           AS last_hour
    ) AS hours
    CROSS JOIN LATERAL (
        VALUES ('15m'::rollup_tier, rest.low, least(first_hour, rest.high)),
               ('hourly', first_hour, last_hour),
               ('15m', greatest(last_hour, least(first_hour, rest.high)), rest.high)
    ) AS section (tier, first_bucket, end_bucket)
    WHERE section.first_bucket < section.end_bucket
    UNION ALL
    SELECT 'daily', first_day, last_day WHERE first_day < last_day;
END
$$;

-- The figures of the checks of parts (a service, from `low` up to `high`): rows that can be added up. Not inlined: see
-- figures_of_service().
CREATE OR REPLACE FUNCTION figures_of_parts(service_ids text[], lows timestamptz[], highs timestamptz[])
    RETURNS TABLE (service_id text, checks bigint, failed bigint, good bigint, min_ms real, max_ms real, bins smallint[],
                   bin_checks integer[])
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
DECLARE
    edge CONSTANT timestamptz := rollup_watermark();
BEGIN
    RETURN QUERY
    WITH parts AS MATERIALIZED (
        SELECT service_id, low, high FROM unnest(service_ids, lows, highs) AS parts (service_id, low, high)
    ), sections AS MATERIALIZED (
        SELECT low, high, tier, first_bucket, end_bucket
        FROM (SELECT DISTINCT low, high FROM parts) AS windows
        CROSS JOIN LATERAL sections_of_window(low, high)
    )
    SELECT rollups.service_id, checks::bigint, failed::bigint, good::bigint, min_ms, max_ms, bins, bin_checks
    FROM parts
    JOIN sections USING (low, high)
    JOIN rollups
      ON rollups.service_id = parts.service_id AND rollups.tier = sections.tier AND bucket >= first_bucket AND bucket < end_bucket;

    IF (SELECT max(high) FROM unnest(highs) AS high) > edge THEN
        RETURN QUERY
        SELECT service_id, checks, failed, good, min_ms, max_ms, bins, bin_checks
        FROM quarters_of_checks(edge, 'infinity') AS live
        JOIN unnest(service_ids, lows, highs) AS parts (service_id, low, high) USING (service_id)
        -- The first condition reaches the raw checks.
        WHERE service_id = ANY (service_ids) AND bucket >= low AND bucket < high;
    END IF;
END
$$;
