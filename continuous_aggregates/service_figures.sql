-- What the pages and the API read most, told by the rollups and by the raw checks that are not in them yet. Not inlined into their
-- queries: here the bounds are known when a plan is made, so that it has the chunks or partitions of these times only. A plan with
-- those of all raw checks takes longer than everything else.

-- One service from `low` up to `high`, which are bounds of buckets, in one tier: rows to be added up over any window.
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

-- All services on one day, which begins at `low` and ends at `high`: their worst severity, and seconds.
CREATE OR REPLACE FUNCTION figures_of_day(low timestamptz, high timestamptz)
    RETURNS TABLE (service_id text, worst severity, down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
DECLARE
    live_from CONSTANT timestamptz := greatest(rollup_watermark(), low);
BEGIN
    RETURN QUERY
    SELECT service_id,
           CASE WHEN sum(failed) > 0 THEN 'mo' WHEN sum(degraded) > 0 THEN 'po' ELSE 'o' END::severity,
           sum(down_seconds)::bigint,
           sum(covered_seconds)::bigint
    FROM (
        SELECT service_id, degraded, failed, down_seconds, covered_seconds FROM rollups WHERE tier = 'daily' AND bucket = low
        UNION ALL
        SELECT service_id, degraded, failed, down_seconds, covered_seconds FROM figures_of_checks(live_from, high)
    ) AS parts
    GROUP BY service_id;
END
$$;
