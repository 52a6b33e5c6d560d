-- Adds raw checks to the rollups: those of each quarter of an hour once it is over (fold_checks), late ones in the transaction that
-- records them (fold_late). Each check is added once, and the views are complete at every moment.
--
-- Writers hold the recording lock, because the watermark decides whether a check is late.

-- Creates the temporary table `folded`, or empties it. It has figures of quarters of an hour that are to be added to
-- the rollups, in any number of rows for a quarter.
CREATE OR REPLACE FUNCTION make_room_for_folded() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF to_regclass('pg_temp.folded') IS NULL THEN
        CREATE TEMP TABLE folded (LIKE rollups) ON COMMIT DELETE ROWS;
    END IF;
    DELETE FROM folded;
END
$$;

-- The sums of `folded` in the buckets of these tiers, with the columns of `rollups`.
CREATE OR REPLACE FUNCTION sums_of_folded(tiers rollup_tier[])
    RETURNS TABLE (
        tier rollup_tier, service_id text, location text, bucket timestamptz, checks bigint, degraded bigint, failed bigint,
        covered_seconds numeric, degraded_seconds numeric, down_seconds numeric, good bigint, sum_ms double precision, min_ms real,
        max_ms real, measured bigint, measured_ms double precision, dns_ms double precision, connect_ms double precision,
        tls_ms double precision, first_byte_ms double precision, bins smallint[], bin_checks integer[]
    )
    LANGUAGE plpgsql AS
$$
#variable_conflict use_column
DECLARE
    -- Usually one quarter of an hour is folded: then each bucket gets one row, and no bins are added up.
    several CONSTANT boolean := EXISTS (SELECT FROM folded GROUP BY service_id, location HAVING count(*) > 1);
BEGIN
    RETURN QUERY
    WITH days AS MATERIALIZED (
        SELECT starts_at, ends_at
        FROM local_days((SELECT min(bucket) FROM folded), (SELECT max(bucket) FROM folded))
        WHERE 'daily' = ANY (tiers)
    ), placed AS (
        SELECT '15m'::rollup_tier AS into_tier, bucket AS into_bucket, folded.* FROM folded WHERE '15m' = ANY (tiers)
        UNION ALL
        SELECT 'hourly', date_bin('1 hour', bucket, '2000-01-01 00:00Z'), folded.* FROM folded WHERE 'hourly' = ANY (tiers)
        UNION ALL
        SELECT 'daily', starts_at, folded.* FROM folded JOIN days ON bucket >= starts_at AND bucket < ends_at
    ), sums AS (
        SELECT into_tier, service_id, location, into_bucket,
               sum(checks) AS checks, sum(degraded) AS degraded, sum(failed) AS failed,
               sum(covered_seconds) AS covered_seconds, sum(degraded_seconds) AS degraded_seconds,
               sum(down_seconds) AS down_seconds,
               sum(good) AS good, sum(sum_ms) AS sum_ms, min(min_ms) AS min_ms, max(max_ms) AS max_ms,
               sum(measured) AS measured, sum(measured_ms) AS measured_ms, sum(dns_ms) AS dns_ms, sum(connect_ms) AS connect_ms,
               sum(tls_ms) AS tls_ms, sum(first_byte_ms) AS first_byte_ms,
               min(placed.bins) AS only_bins, min(placed.bin_checks) AS only_bin_checks
        FROM placed
        GROUP BY into_tier, service_id, location, into_bucket
    ), binned AS (
        SELECT into_tier, service_id, location, into_bucket,
               array_agg(bin ORDER BY bin) AS bins, array_agg(bin_checks ORDER BY bin) AS bin_checks
        FROM (
            SELECT into_tier, service_id, location, into_bucket, bin, sum(n)::integer AS bin_checks
            FROM placed
            CROSS JOIN LATERAL unnest(bins, placed.bin_checks) AS counted (bin, n)
            WHERE several
            GROUP BY into_tier, service_id, location, into_bucket, bin
        ) AS counted
        GROUP BY into_tier, service_id, location, into_bucket
    )
    SELECT into_tier, service_id, location, into_bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds,
           good, sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms,
           CASE WHEN several THEN bins ELSE only_bins END, CASE WHEN several THEN bin_checks ELSE only_bin_checks END
    FROM sums
    LEFT JOIN binned USING (into_tier, service_id, location, into_bucket);
END
$$;

-- Adds the rows of `folded` to the rollups of these tiers.
CREATE OR REPLACE FUNCTION add_folded(tiers rollup_tier[] DEFAULT '{15m, hourly, daily}') RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO rollups AS known
        (tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
         sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks)
    SELECT tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
           sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks
    FROM sums_of_folded(tiers)
    ON CONFLICT (service_id, tier, bucket, location) DO UPDATE
    SET checks           = known.checks + excluded.checks,
        degraded         = known.degraded + excluded.degraded,
        failed           = known.failed + excluded.failed,
        covered_seconds  = known.covered_seconds + excluded.covered_seconds,
        degraded_seconds = known.degraded_seconds + excluded.degraded_seconds,
        down_seconds     = known.down_seconds + excluded.down_seconds,
        good             = known.good + excluded.good,
        sum_ms           = known.sum_ms + excluded.sum_ms,
        min_ms           = least(known.min_ms, excluded.min_ms),
        max_ms           = greatest(known.max_ms, excluded.max_ms),
        measured         = known.measured + excluded.measured,
        measured_ms      = known.measured_ms + excluded.measured_ms,
        dns_ms           = known.dns_ms + excluded.dns_ms,
        connect_ms       = known.connect_ms + excluded.connect_ms,
        tls_ms           = known.tls_ms + excluded.tls_ms,
        first_byte_ms    = known.first_byte_ms + excluded.first_byte_ms,
        (bins, bin_checks) = (
            SELECT array_agg(bin ORDER BY bin), array_agg(n ORDER BY bin)
            FROM (
                SELECT bin, sum(n)::integer AS n
                FROM unnest(known.bins || excluded.bins, known.bin_checks || excluded.bin_checks) AS both_counted (bin, n)
                GROUP BY bin
            ) AS counted
        );
END
$$;

-- Adds the raw checks from `low` up to `high` to the rollups. Nested loops are off: the planner expects few rows, since
-- the newest checks are not in its statistics, and joining figures and bins row by row would take eight times as long
-- as the rest.
CREATE OR REPLACE FUNCTION fold_range(low timestamptz, high timestamptz) RETURNS void
    LANGUAGE plpgsql SET enable_nestloop = off AS
$$
BEGIN
    PERFORM make_room_for_folded();
    INSERT INTO folded
        (tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
         sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks)
    SELECT '15m', service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
           sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks
    FROM quarters_of_checks(low, high);
    PERFORM add_folded();
END
$$;

-- Adds late checks to the rollups, given by their keys: checks that are recorded after their time was folded. Called by record_checks_v2().
-- The figures of one check are those of figures_of_checks(), which aggregates a range of time and so cannot read rows by their keys.
CREATE OR REPLACE FUNCTION fold_late(service_ids text[], locations text[], times timestamptz[]) RETURNS void
    LANGUAGE plpgsql SET plan_cache_mode = auto AS
$$
DECLARE
    -- Constants that are known when the plan is made, so that it has only the chunks or partitions of these times.
    earliest CONSTANT timestamptz := (SELECT min(at) FROM unnest(times) AS at);
    latest   CONSTANT timestamptz := (SELECT max(at) FROM unnest(times) AS at);
BEGIN
    PERFORM make_room_for_folded();
    INSERT INTO folded
        (tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
         sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks)
    SELECT '15m', service_id, location, date_bin('15 minutes', scheduled_at, '2000-01-01 00:00Z'),
           1,
           (severity = 'po')::integer,
           (severity = 'mo')::integer,
           interval_seconds,
           CASE WHEN severity = 'po' THEN interval_seconds ELSE 0 END,
           CASE WHEN severity = 'mo' THEN interval_seconds ELSE 0 END,
           is_good::integer,
           CASE WHEN is_good THEN total_ms ELSE 0 END,
           CASE WHEN is_good THEN total_ms END,
           CASE WHEN is_good THEN total_ms END,
           is_measured::integer,
           CASE WHEN is_measured THEN total_ms ELSE 0 END,
           CASE WHEN is_measured THEN coalesce(dns_ms, 0) ELSE 0 END,
           CASE WHEN is_measured THEN coalesce(connect_ms, 0) ELSE 0 END,
           CASE WHEN is_measured THEN coalesce(tls_ms, 0) ELSE 0 END,
           CASE WHEN is_measured THEN first_byte_ms ELSE 0 END,
           CASE WHEN is_good THEN ARRAY[response_bin(total_ms)] END,
           CASE WHEN is_good THEN ARRAY[1] END
    FROM (
        SELECT checks.*,
               success AND total_ms IS NOT NULL                               AS is_good,
               success AND total_ms IS NOT NULL AND first_byte_ms IS NOT NULL AS is_measured
        FROM unnest(service_ids, locations, times) AS late (service_id, location, at)
        JOIN checks ON checks.service_id = late.service_id AND checks.location = late.location
            AND checks.scheduled_at = late.at AND checks.scheduled_at BETWEEN earliest AND latest
    ) AS single_checks;
    PERFORM add_folded();
    PERFORM add_to_strips();
END
$$;

-- Moves the watermark to the end of the last quarter of an hour that ended at least two minutes ago; checks that are recorded after that
-- are late. At a high rate of checks, quarters are folded in parts, up to half a minute ago. Commits after each step, so that recording
-- never waits for long. Called by the worker every half minute; until then the views add up more raw checks.
CREATE OR REPLACE PROCEDURE fold_checks()
    LANGUAGE plpgsql AS
$$
DECLARE
    quarter CONSTANT interval    := '15 minutes';
    origin  CONSTANT timestamptz := '2000-01-01 00:00Z';
    most    CONSTANT integer     := 100000;
    step    interval := quarter;
    edge    timestamptz;
    target  timestamptz;
    upto    timestamptz;
    n       integer;
BEGIN
    LOOP
        PERFORM lock_recording();
        edge := rollup_watermark();
        target := date_bin(quarter, present() - interval '2 minutes', origin);
        IF edge = '-infinity' THEN
            -- The first fold begins with the oldest check; older ones that are recorded later are late.
            edge := least(date_bin(quarter, (SELECT min(scheduled_at) FROM checks), origin), target);
            UPDATE rollup_state SET watermark = edge;
        END IF;
        IF target <= edge THEN
            -- The target also depends on the newest check: while recording is behind, all checks would be late
            -- otherwise, and cost more.
            target := date_bin('10 seconds',
                               least(present(), (SELECT max(scheduled_at) FROM latest_checks)) - interval '30 seconds', origin);
            SELECT count(*)
            INTO n
            FROM (SELECT FROM checks WHERE scheduled_at >= edge AND scheduled_at < target LIMIT most) AS first_ones;
            EXIT WHEN n < most OR target <= edge;
        END IF;
        upto := least(edge + step, target);
        SELECT count(*)
        INTO n
        FROM (SELECT FROM checks WHERE scheduled_at >= edge AND scheduled_at < upto LIMIT most) AS first_ones;
        IF n >= most AND upto - edge > interval '10 seconds' THEN
            step := greatest((upto - edge) / 4, interval '10 seconds');
            COMMIT;
            CONTINUE;
        END IF;
        IF n > 0 THEN
            PERFORM fold_range(edge, upto);
        END IF;
        UPDATE rollup_state SET watermark = upto;
        COMMIT;
        IF n < most / 10 THEN
            step := least(step * 2, interval '7 days');
        END IF;
    END LOOP;
    COMMIT;
    CALL renew_strips();
END
$$;
