-- Computes rollups again: from raw checks as a repair, and days for another time zone.

-- Computes the rollups of one service and location again from its raw checks, from the first whole local day for which these are
-- complete.
CREATE OR REPLACE FUNCTION rebuild_rollups(service text, place text, low timestamptz, high timestamptz) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    first  timestamptz;
    finish timestamptz;
BEGIN
    PERFORM lock_recording();
    first := day_bucket(low);
    IF first < oldest_check() THEN
        first := day_bucket(oldest_check() + interval '36 hours');
    END IF;
    finish := least(rollup_watermark(), day_bucket(day_bucket(high) + interval '36 hours'));
    IF first >= finish THEN
        RETURN;
    END IF;
    PERFORM replace_quarters(service, place, first, finish);
    PERFORM replace_tiers(service, place, first, finish);
    UPDATE latest_checks
    SET day_covered_seconds = NULL, day_down_seconds = NULL
    WHERE service_id = service AND location = place;
    PERFORM count_open_days();
    -- Stored again by renew_strips(), and computed until then.
    DELETE FROM day_strips;
END
$$;

-- Replaces the quarters of an hour of one service and location by those of its raw checks. See fold_range() for the
-- setting.
CREATE OR REPLACE FUNCTION replace_quarters(service text, place text, low timestamptz, high timestamptz) RETURNS void
    LANGUAGE plpgsql SET enable_nestloop = off AS
$$
BEGIN
    DELETE FROM rollups
    WHERE service_id = service AND location = place AND tier = '15m' AND bucket >= low AND bucket < high;

    PERFORM make_room_for_folded();
    INSERT INTO folded
        (tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
         sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks)
    SELECT '15m', service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
           sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks
    FROM quarters_of_checks(low, high)
    WHERE service_id = service AND location = place;
    PERFORM add_folded('{15m}');
END
$$;

-- Replaces the hours and days of one service and location by sums of its quarters of an hour. Hours that begin before
-- `low` or end after `high` are replaced as a whole.
CREATE OR REPLACE FUNCTION replace_tiers(service text, place text, low timestamptz, high timestamptz) RETURNS void
    LANGUAGE plpgsql AS
$$
DECLARE
    first_hour CONSTANT timestamptz := date_bin('1 hour', low, '2000-01-01 00:00Z');
    last_hour  CONSTANT timestamptz := date_bin('1 hour', high + interval '45 minutes', '2000-01-01 00:00Z');
    first_day  CONSTANT timestamptz := day_bucket(low);
    last_day   CONSTANT timestamptz := CASE
        WHEN day_bucket(high) = high THEN high
        ELSE day_bucket(day_bucket(high) + interval '36 hours')
    END;
BEGIN
    PERFORM replace_tier(service, place, 'hourly', first_hour, last_hour);
    PERFORM replace_tier(service, place, 'daily', first_day, last_day);
END
$$;

-- Replaces the buckets of one tier from `low` up to `high`, which are both starts of buckets.
CREATE OR REPLACE FUNCTION replace_tier(service text, place text, replaced rollup_tier, low timestamptz, high timestamptz) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    DELETE FROM rollups
    WHERE service_id = service AND location = place AND tier = replaced AND bucket >= low AND bucket < high;
    PERFORM make_room_for_folded();
    INSERT INTO folded
        (tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
         sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks)
    SELECT tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
           sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks
    FROM rollups
    WHERE service_id = service AND location = place AND tier = '15m' AND bucket >= low AND bucket < high;
    PERFORM add_folded(ARRAY[replaced]);
END
$$;

-- Replaces all days by those of the current reporting time zone, as sums of the quarters of an hour, which are never
-- deleted.
CREATE OR REPLACE FUNCTION rebuild_days() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM lock_recording();
    DELETE FROM rollups WHERE tier = 'daily';
    DELETE FROM day_strips;
    PERFORM make_room_for_folded();
    INSERT INTO folded
        (tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
         sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks)
    SELECT tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
           sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks
    FROM rollups
    WHERE tier = '15m';
    PERFORM add_folded('{daily}');
    -- The latest checks may belong to other local days now.
    UPDATE latest_checks
    SET day = local_date(scheduled_at, reporting_time_zone()), day_worst = severity, day_covered_seconds = NULL, day_down_seconds = NULL;
    PERFORM count_open_days();
    DELETE FROM announced_days;
    INSERT INTO announced_days (service_id, day, worst)
    SELECT service_id, (bucket AT TIME ZONE reporting_time_zone())::date,
           max(CASE WHEN failed > 0 THEN 'mo' WHEN degraded > 0 THEN 'po' ELSE 'o' END::severity)
    FROM figures_of_tier('daily')
    WHERE bucket >= present() - interval '3 days'
    GROUP BY service_id, bucket;
END
$$;
