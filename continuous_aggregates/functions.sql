-- Raw checks from before this time are in the rollups; later ones are added up by the views. With the rights of the owner, since the
-- views for analysts call this function and open_bucket(). Their bodies are bound when they are created, so no search_path is needed.
CREATE OR REPLACE FUNCTION rollup_watermark() RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER
    RETURN (SELECT watermark FROM rollup_state WHERE only_row);

-- The start of the bucket that contains the watermark: for this and later buckets the views add raw checks to the rollups.
CREATE OR REPLACE FUNCTION open_bucket(tier rollup_tier) RETURNS timestamptz
    LANGUAGE sql STABLE SECURITY DEFINER
    RETURN (SELECT CASE
                       WHEN NOT isfinite(watermark) THEN watermark
                       WHEN tier = '15m'    THEN date_bin('15 minutes', watermark, '2000-01-01 00:00Z')
                       WHEN tier = 'hourly' THEN date_bin('1 hour', watermark, '2000-01-01 00:00Z')
                       ELSE day_bucket(watermark)
                   END
            FROM rollup_state
            WHERE only_row);

-- The figures of the raw checks from `low` up to `high`, by quarters of an hour: the definition of every figure. Simple enough to be
-- inlined where it is called (with bounds that are no sub-selects), so that conditions on service and location reach the raw table.
CREATE OR REPLACE FUNCTION figures_of_checks(low timestamptz, high timestamptz)
    RETURNS TABLE (
        service_id text, location text, bucket timestamptz, checks bigint, degraded bigint, failed bigint, covered_seconds bigint,
        degraded_seconds bigint, down_seconds bigint, good bigint, sum_ms double precision, min_ms real, max_ms real,
        measured bigint, measured_ms double precision, dns_ms double precision, connect_ms double precision,
        tls_ms double precision, first_byte_ms double precision
    )
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT checks.service_id,
           checks.location,
           date_bin('15 minutes', scheduled_at, timestamptz '2000-01-01 00:00Z')                             AS bucket,
           count(*)                                                                                          AS checks,
           count(*) FILTER (WHERE severity = 'po')                                                           AS degraded,
           count(*) FILTER (WHERE severity = 'mo')                                                           AS failed,
           sum(interval_seconds)                                                                             AS covered_seconds,
           coalesce(sum(interval_seconds) FILTER (WHERE severity = 'po'), 0)                                 AS degraded_seconds,
           coalesce(sum(interval_seconds) FILTER (WHERE severity = 'mo'), 0)                                 AS down_seconds,
           count(total_ms) FILTER (WHERE success)                                                            AS good,
           coalesce(sum(total_ms::double precision) FILTER (WHERE success), 0)                               AS sum_ms,
           min(total_ms) FILTER (WHERE success)                                                              AS min_ms,
           max(total_ms) FILTER (WHERE success)                                                              AS max_ms,
           count(first_byte_ms) FILTER (WHERE success AND total_ms IS NOT NULL)                              AS measured,
           coalesce(sum(total_ms::double precision) FILTER (WHERE success AND first_byte_ms IS NOT NULL), 0) AS measured_ms,
           coalesce(sum(dns_ms::double precision)
                    FILTER (WHERE success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL), 0)        AS dns_ms,
           coalesce(sum(connect_ms::double precision)
                    FILTER (WHERE success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL), 0)        AS connect_ms,
           coalesce(sum(tls_ms::double precision)
                    FILTER (WHERE success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL), 0)        AS tls_ms,
           coalesce(sum(first_byte_ms::double precision)
                    FILTER (WHERE success AND total_ms IS NOT NULL), 0)                                      AS first_byte_ms
    FROM checks
    WHERE scheduled_at >= low AND scheduled_at < high
    GROUP BY checks.service_id, checks.location, bucket;
END;

-- The response times of the same checks: the number of good checks in each logarithmic bin, by quarters of an hour.
CREATE OR REPLACE FUNCTION bins_of_checks(low timestamptz, high timestamptz)
    RETURNS TABLE (service_id text, location text, bucket timestamptz, bin smallint, checks bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT checks.service_id,
           checks.location,
           date_bin('15 minutes', scheduled_at, timestamptz '2000-01-01 00:00Z') AS bucket,
           response_bin(total_ms)                                                 AS bin,
           count(*)                                                              AS checks
    FROM checks
    WHERE scheduled_at >= low AND scheduled_at < high AND success AND total_ms IS NOT NULL
    GROUP BY checks.service_id, checks.location, bucket, response_bin(total_ms);
END;

-- Figures and bins together, with the columns of `rollups`, of the quarters of an hour from `low` up to `high`.
CREATE OR REPLACE FUNCTION quarters_of_checks(low timestamptz, high timestamptz)
    RETURNS TABLE (
        service_id text, location text, bucket timestamptz, checks bigint, degraded bigint, failed bigint, covered_seconds bigint,
        degraded_seconds bigint, down_seconds bigint, good bigint, sum_ms double precision, min_ms real, max_ms real,
        measured bigint, measured_ms double precision, dns_ms double precision, connect_ms double precision,
        tls_ms double precision, first_byte_ms double precision, bins smallint[], bin_checks integer[]
    )
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT figures.service_id, figures.location, figures.bucket, figures.checks, degraded, failed, covered_seconds, degraded_seconds,
           down_seconds, good, sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms,
           binned.bins, binned.bin_checks
    FROM figures_of_checks(low, high) AS figures
    LEFT JOIN (
        SELECT counted.service_id, counted.location, counted.bucket,
               array_agg(bin ORDER BY bin)                     AS bins,
               array_agg(counted.checks::integer ORDER BY bin) AS bin_checks
        FROM bins_of_checks(low, high) AS counted
        GROUP BY counted.service_id, counted.location, counted.bucket
    ) AS binned USING (service_id, location, bucket);
END;

-- The local days that may have raw checks above the watermark.
CREATE OR REPLACE FUNCTION open_days() RETURNS TABLE (day date, starts_at timestamptz, ends_at timestamptz)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 2 AS
$$
SELECT day, starts_at, ends_at
FROM (SELECT rollup_watermark() AS watermark) AS folded
CROSS JOIN LATERAL local_days(
    CASE WHEN isfinite(watermark) THEN watermark ELSE coalesce((SELECT min(scheduled_at) FROM checks), present()) END,
    greatest(present(), (SELECT max(scheduled_at) FROM latest_checks))) AS days
$$;

-- The figures of the raw checks above the watermark, in the buckets of one tier. The watermark comes from a function:
-- of a joined table the planner would expect a thousand rows, and plans of the views would be made for a thousand times
-- the rows.
CREATE OR REPLACE FUNCTION live_figures(tier rollup_tier)
    RETURNS TABLE (
        service_id text, location text, bucket timestamptz, checks bigint, degraded bigint, failed bigint, covered_seconds bigint,
        degraded_seconds bigint, down_seconds bigint, good bigint, sum_ms double precision, min_ms real, max_ms real,
        measured bigint, measured_ms double precision, dns_ms double precision, connect_ms double precision,
        tls_ms double precision, first_byte_ms double precision
    )
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT figures.service_id,
           figures.location,
           CASE tier
               WHEN '15m'    THEN figures.bucket
               WHEN 'hourly' THEN date_bin('1 hour', figures.bucket, timestamptz '2000-01-01 00:00Z')
               ELSE days.starts_at
           END,
           checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good, sum_ms, min_ms, max_ms, measured,
           measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms
    FROM (SELECT rollup_watermark() AS watermark) AS folded
    CROSS JOIN LATERAL figures_of_checks(folded.watermark, 'infinity') AS figures
    LEFT JOIN open_days() AS days ON tier = 'daily' AND figures.bucket >= days.starts_at AND figures.bucket < days.ends_at;
END;

-- The bins of the raw checks above the watermark, in the buckets of one tier.
CREATE OR REPLACE FUNCTION live_bins(tier rollup_tier)
    RETURNS TABLE (service_id text, location text, bucket timestamptz, bin smallint, checks bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT binned.service_id,
           binned.location,
           CASE tier
               WHEN '15m'    THEN binned.bucket
               WHEN 'hourly' THEN date_bin('1 hour', binned.bucket, timestamptz '2000-01-01 00:00Z')
               ELSE days.starts_at
           END,
           bin, checks
    FROM (SELECT rollup_watermark() AS watermark) AS folded
    CROSS JOIN LATERAL bins_of_checks(folded.watermark, 'infinity') AS binned
    LEFT JOIN open_days() AS days ON tier = 'daily' AND binned.bucket >= days.starts_at AND binned.bucket < days.ends_at;
END;

-- The figures of one tier. Those of closed buckets are in the rollups; for open buckets the raw checks above the
-- watermark are added.
CREATE OR REPLACE FUNCTION figures_of_tier(tier rollup_tier)
    RETURNS TABLE (
        service_id text, location text, bucket timestamptz, checks bigint, degraded bigint, failed bigint, covered_seconds bigint,
        degraded_seconds bigint, down_seconds bigint, good bigint, sum_ms double precision, min_ms real, max_ms real,
        measured bigint, measured_ms double precision, dns_ms double precision, connect_ms double precision,
        tls_ms double precision, first_byte_ms double precision
    )
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT rollups.service_id, rollups.location, rollups.bucket, checks::bigint, degraded::bigint, failed::bigint, covered_seconds,
           degraded_seconds, down_seconds, good::bigint, sum_ms, min_ms, max_ms, measured::bigint, measured_ms, dns_ms, connect_ms,
           tls_ms, first_byte_ms
    FROM rollups
    WHERE rollups.tier = figures_of_tier.tier AND rollups.bucket < (SELECT open_bucket(figures_of_tier.tier))
    UNION ALL
    SELECT parts.service_id, parts.location, parts.bucket, sum(checks)::bigint, sum(degraded)::bigint, sum(failed)::bigint,
           sum(covered_seconds)::bigint, sum(degraded_seconds)::bigint, sum(down_seconds)::bigint, sum(good)::bigint, sum(sum_ms),
           min(min_ms), max(max_ms), sum(measured)::bigint, sum(measured_ms), sum(dns_ms), sum(connect_ms), sum(tls_ms),
           sum(first_byte_ms)
    FROM (
        SELECT rollups.service_id, rollups.location, rollups.bucket, checks::bigint, degraded::bigint, failed::bigint,
               covered_seconds, degraded_seconds, down_seconds, good::bigint, sum_ms, min_ms, max_ms, measured::bigint, measured_ms,
               dns_ms, connect_ms, tls_ms, first_byte_ms
        FROM rollups
        WHERE rollups.tier = figures_of_tier.tier AND rollups.bucket >= (SELECT open_bucket(figures_of_tier.tier))
        UNION ALL
        SELECT live.service_id, live.location, live.bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds,
               good, sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms
        FROM live_figures(figures_of_tier.tier) AS live
    ) AS parts
    GROUP BY parts.service_id, parts.location, parts.bucket;
END;

-- The bins of one tier, like figures_of_tier().
CREATE OR REPLACE FUNCTION bins_of_tier(tier rollup_tier)
    RETURNS TABLE (service_id text, location text, bucket timestamptz, bin smallint, checks bigint)
    LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT rollups.service_id, rollups.location, rollups.bucket, counted.bin, counted.checks::bigint
    FROM rollups
    CROSS JOIN LATERAL unnest(bins, bin_checks) AS counted (bin, checks)
    WHERE rollups.tier = bins_of_tier.tier AND rollups.bucket < (SELECT open_bucket(bins_of_tier.tier))
    UNION ALL
    SELECT parts.service_id, parts.location, parts.bucket, parts.bin, sum(parts.checks)::bigint
    FROM (
        SELECT rollups.service_id, rollups.location, rollups.bucket, counted.bin, counted.checks::bigint
        FROM rollups
        CROSS JOIN LATERAL unnest(bins, bin_checks) AS counted (bin, checks)
        WHERE rollups.tier = bins_of_tier.tier AND rollups.bucket >= (SELECT open_bucket(bins_of_tier.tier))
        UNION ALL
        SELECT live.service_id, live.location, live.bucket, live.bin, live.checks FROM live_bins(bins_of_tier.tier) AS live
    ) AS parts
    GROUP BY parts.service_id, parts.location, parts.bucket, parts.bin;
END;

-- A window, widened to whole buckets of a tier: `low` and `high`. Hours begin with the full hours of the clocks in the
-- reporting time zone at the start of the window; if these are not those of UTC, the tier to read is '15m'. `first_day`
-- is the first local day for the tier 'daily', otherwise NULL.
CREATE OR REPLACE FUNCTION buckets_of_window(wanted rollup_tier, window_start timestamptz, window_end timestamptz)
    RETURNS TABLE (tier rollup_tier, zone text, first_day date, low timestamptz, high timestamptz)
    LANGUAGE sql STABLE ROWS 1
BEGIN ATOMIC
    SELECT CASE WHEN wanted = 'hourly' AND shift <> interval '0' THEN '15m' ELSE wanted END,
           clock.zone,
           CASE WHEN wanted = 'daily' THEN clock.first_day END,
           CASE
               WHEN wanted = 'daily' THEN local_day_start(clock.first_day, clock.zone)
               ELSE date_bin(width, window_start, origin)
           END,
           CASE
               WHEN wanted = 'daily' THEN local_day_start(clock.last_day + 1, clock.zone)
               ELSE date_bin(width, window_end + width - interval '1 microsecond', origin)
           END
    FROM (
        SELECT setting.zone, shift, width,
               timestamptz '2000-01-01 00:00Z' - shift                               AS origin,
               local_date(window_start, setting.zone)                                AS first_day,
               local_date(window_end - interval '1 microsecond', setting.zone)       AS last_day
        FROM (SELECT reporting_time_zone() AS zone) AS setting
        CROSS JOIN LATERAL (
            SELECT CASE wanted WHEN 'hourly' THEN interval '1 hour' ELSE interval '15 minutes' END AS width,
                   CASE wanted
                       WHEN 'hourly' THEN mod(extract(epoch FROM (window_start AT TIME ZONE setting.zone)
                                                                 - (window_start AT TIME ZONE 'UTC'))::integer, 3600)
                       ELSE 0
                   END * interval '1 second' AS shift
        ) AS grid
    ) AS clock;
END;
