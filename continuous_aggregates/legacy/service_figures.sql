-- The functions of service_figures.sql while an installation of release 0.1 is upgraded: from its aggregates.

CREATE OR REPLACE FUNCTION figures_of_service(service text, wanted rollup_tier, low timestamptz, high timestamptz)
    RETURNS TABLE (
        bucket timestamptz, checks bigint, failed bigint, good bigint, sum_ms double precision, min_ms real, max_ms real,
        measured bigint, measured_ms double precision, dns_ms double precision, connect_ms double precision,
        tls_ms double precision, first_byte_ms double precision, bins smallint[], bin_checks integer[]
    )
    LANGUAGE plpgsql STABLE AS
$$
BEGIN
    -- Each tier has views of its own, of the same columns.
    RETURN QUERY EXECUTE format(
        $query$
        SELECT bucket, known.checks, failed, good, known.sum_ms, min_ms, max_ms, phases.checks, phases.sum_ms, sum_dns_ms,
               sum_connect_ms, sum_tls_ms, sum_first_byte_ms, bins, bin_checks
        FROM %I AS known
        LEFT JOIN %I AS phases USING (service_id, location, bucket)
        LEFT JOIN (
            SELECT service_id, location, bucket, array_agg(bin ORDER BY bin) AS bins,
                   array_agg(checks::integer ORDER BY bin) AS bin_checks
            FROM %I
            WHERE service_id = $1 AND bucket >= $2 AND bucket < $3
            GROUP BY service_id, location, bucket
        ) AS binned USING (service_id, location, bucket)
        WHERE service_id = $1 AND bucket >= $2 AND bucket < $3
        $query$,
        'checks_' || wanted, 'phases_' || wanted, 'latency_' || wanted)
    USING service, low, high;
END
$$;

CREATE OR REPLACE FUNCTION figures_of_day(low timestamptz, high timestamptz)
    RETURNS TABLE (service_id text, worst severity, down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT service_id, max(worst), sum(down_seconds)::bigint, sum(covered_seconds)::bigint
    FROM checks_daily
    WHERE bucket = low
    GROUP BY service_id;
END
$$;

-- Computed: nothing is stored in day_strips during an upgrade.
CREATE OR REPLACE FUNCTION closed_strips(today date)
    RETURNS TABLE (service_id text, known bit(90), degraded bit(90), failed bit(90), down_seconds bigint, covered_seconds bigint)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
DECLARE
    zone CONSTANT text := reporting_time_zone();
BEGIN
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
