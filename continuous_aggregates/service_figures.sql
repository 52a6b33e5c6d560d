-- Figures for the pages and the API, from the rollups and from the raw checks that are not in them yet. These functions
-- are not inlined: their bounds are known when a plan is made, so that it has the chunks or partitions of these times
-- only. Planning for all raw checks takes longer than everything else.

-- The figures of one service in one tier, from `low` up to `high`, which are bounds of buckets: rows that can be added
-- up over any window.
CREATE OR REPLACE FUNCTION figures_of_service(service text, wanted rollup_tier, low timestamptz, high timestamptz)
    RETURNS TABLE (
        bucket timestamptz, checks bigint, failed bigint, good bigint, sum_ms double precision, min_ms real, max_ms real,
        measured bigint, measured_ms double precision, dns_ms double precision, connect_ms double precision,
        tls_ms double precision, first_byte_ms double precision, bins smallint[], bin_checks integer[]
    )
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
DECLARE
    edge CONSTANT timestamptz := rollup_watermark();
BEGIN
    RETURN QUERY
    SELECT bucket, checks::bigint, failed::bigint, good::bigint, sum_ms, min_ms, max_ms, measured::bigint, measured_ms, dns_ms,
           connect_ms, tls_ms, first_byte_ms, bins, bin_checks
    FROM rollups
    WHERE service_id = service AND tier = wanted AND bucket >= low AND bucket < high;

    IF high > edge THEN
        RETURN QUERY
        SELECT bucket, checks, failed, good, sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms,
               first_byte_ms, bins, bin_checks
        FROM quarters_of_checks(edge, 'infinity') AS live
        WHERE service_id = service AND bucket >= low AND bucket < high;
    END IF;
END
$$;

-- All services on one day, which begins at `low` and ends at `high`: their worst severity, and seconds. Meant for
-- today, whose figures are in latest_checks. Figures are counted if they are unknown, if the latest check of the
-- location is of a later day, or if the location or service was deleted.
CREATE OR REPLACE FUNCTION figures_of_day(low timestamptz, high timestamptz)
    RETURNS TABLE (service_id text, worst severity, down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT service_id, max(worst), sum(down_seconds)::bigint, sum(covered_seconds)::bigint
    FROM (
        SELECT service_id, day_worst AS worst, day_down_seconds AS down_seconds, day_covered_seconds AS covered_seconds
        FROM latest_checks
        WHERE scheduled_at >= low AND scheduled_at < high AND day_covered_seconds IS NOT NULL
        UNION ALL
        SELECT service_id, figures.worst, figures.down_seconds, figures.covered_seconds
        FROM (
            SELECT service_id, location
            FROM latest_checks
            WHERE scheduled_at >= high OR (scheduled_at >= low AND day_covered_seconds IS NULL)
            UNION ALL
            SELECT service_id, location
            FROM left_checks AS gone
            WHERE scheduled_at >= low
              AND NOT EXISTS (SELECT FROM latest_checks
                              WHERE latest_checks.service_id = gone.service_id AND latest_checks.location = gone.location
                                AND latest_checks.scheduled_at >= low)
        ) AS uncounted
        CROSS JOIN LATERAL counted_day(service_id, location, low, high) AS figures
    ) AS parts
    GROUP BY service_id;
END
$$;

-- The 89 days before today as strips, whose last digit is that of today and 0. They are computed if they are not
-- stored: in the first minutes after midnight, and in an installation without a complete day.
CREATE OR REPLACE FUNCTION closed_strips(today date)
    RETURNS TABLE (service_id text, known bit(90), degraded bit(90), failed bit(90), down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
BEGIN
    IF (SELECT max(upto) FROM day_strips) = today - 1 THEN
        RETURN QUERY
        SELECT service_id, known << 1, degraded << 1, failed << 1, down_seconds, covered_seconds FROM day_strips;
    ELSE
        RETURN QUERY
        SELECT service_id, known << 1, degraded << 1, failed << 1, down_seconds, covered_seconds FROM strips_upto(today - 1);
    END IF;
END
$$;
