-- The function of figures_of_parts.sql while an installation of release 0.1 is upgraded: from its aggregates.

CREATE OR REPLACE FUNCTION figures_of_parts(service_ids text[], lows timestamptz[], highs timestamptz[])
    RETURNS TABLE (service_id text, checks bigint, failed bigint, good bigint, min_ms real, max_ms real, bins smallint[],
                   bin_checks integer[])
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT known.service_id, known.checks, failed, good, min_ms, max_ms, bins, bin_checks
    FROM unnest(service_ids, lows, highs) AS parts (service_id, low, high)
    JOIN checks_15m AS known ON known.service_id = parts.service_id AND known.bucket >= low AND known.bucket < high
    LEFT JOIN LATERAL (
        SELECT array_agg(bin ORDER BY bin) AS bins, array_agg(latency.checks::integer ORDER BY bin) AS bin_checks
        FROM latency_15m AS latency
        WHERE latency.service_id = known.service_id AND latency.location = known.location AND latency.bucket = known.bucket
    ) AS binned ON true;
END
$$;
