-- Copies the aggregates of release 0.1 to rollups and episodes, in the background. The views read the old aggregates
-- until all of the past is in the new tables; then the old aggregates are dropped (finish_upgrade in sql/migrate.py).
-- Checks that are recorded meanwhile are added to both.

-- Whether an installation of release 0.1 is being upgraded.
CREATE OR REPLACE FUNCTION upgrade_pending() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN (SELECT legacy FROM rollup_state);

-- Stores the quarters of an hour of late checks, which are to be refreshed in the old aggregates.
CREATE OR REPLACE FUNCTION note_touched(times timestamptz[]) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    INSERT INTO touched_ranges (range)
    SELECT unnest(range_agg(tstzrange(quarter, quarter + interval '15 minutes')))
    FROM (SELECT date_bin('15 minutes', at, '2000-01-01 00:00Z') AS quarter FROM unnest(times) AS at) AS quarters;
    PERFORM pg_notify('sla_monitor', 'ranges');
END
$$;

-- The first quarter of an hour whose raw checks are complete: what is older is taken from the old aggregates.
CREATE OR REPLACE FUNCTION first_raw_quarter() RETURNS timestamptz
    LANGUAGE sql STABLE
    RETURN date_bin('15 minutes', oldest_check(), '2000-01-01 00:00Z') + interval '15 minutes';

-- Creates the tasks. For each service and location: a month of quarters of an hour at a time, then its hours and days,
-- then its episodes, the newest month first, so that episodes reach to the present without a gap at any time. The
-- outages follow last.
CREATE OR REPLACE FUNCTION plan_upgrade() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    CREATE TABLE upgrade_tasks (
        id         bigint           PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
        step       text             NOT NULL CHECK (step IN ('quarters', 'tiers', 'episodes', 'outages')),
        service_id text COLLATE "C" NOT NULL,
        location   text COLLATE "C" NOT NULL,
        low        timestamptz      NOT NULL,
        high       timestamptz      NOT NULL
    );
    COMMENT ON TABLE upgrade_tasks IS 'the tasks that are left before the aggregates of release 0.1 can be dropped';

    INSERT INTO upgrade_tasks (step, service_id, location, low, high)
    WITH known AS (
        SELECT service_id, location, date_bin('15 minutes', min(bucket), '2000-01-01 00:00Z') - interval '2 hours' AS low, watermark
        FROM checks_daily
        CROSS JOIN rollup_state
        GROUP BY service_id, location, watermark
    ), months AS (
        SELECT service_id, location, month AS low, least(month + interval '30 days', watermark) AS high
        FROM known
        CROSS JOIN LATERAL generate_series(low, watermark - interval '1 second', interval '30 days') AS month
    )
    SELECT step, service_id, location, low, high
    FROM (
        SELECT 1 AS turn, 'quarters' AS step, service_id, location, low, high, -extract(epoch FROM low) AS place FROM months
        UNION ALL
        SELECT 2, 'tiers', service_id, location, low, watermark, 0 FROM known
        UNION ALL
        SELECT 3, 'episodes', service_id, location, low, CASE WHEN high = watermark THEN 'infinity' ELSE high END,
               -extract(epoch FROM low) FROM months CROSS JOIN rollup_state
        UNION ALL
        SELECT 4, 'outages', service_id, location, low, watermark, 0 FROM known
    ) AS steps
    ORDER BY turn = 4, service_id, location, turn, place;
END
$$;

-- Copies quarters of an hour that are older than the raw checks from the old aggregates.
CREATE OR REPLACE FUNCTION adopt_quarters(service text, place text, first timestamptz, finish timestamptz) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    DELETE FROM rollups
    WHERE service_id = service AND location = place AND tier = '15m' AND bucket >= first AND bucket < finish;

    PERFORM make_room_for_folded();
    INSERT INTO folded
        (tier, service_id, location, bucket, checks, degraded, failed, covered_seconds, degraded_seconds, down_seconds, good,
         sum_ms, min_ms, max_ms, measured, measured_ms, dns_ms, connect_ms, tls_ms, first_byte_ms, bins, bin_checks)
    SELECT '15m', known.service_id, known.location, known.bucket, known.checks, degraded, failed, covered_seconds, degraded_seconds,
           down_seconds, good, known.sum_ms, min_ms, max_ms, coalesce(phases.checks, 0), coalesce(phases.sum_ms, 0),
           coalesce(sum_dns_ms, 0), coalesce(sum_connect_ms, 0), coalesce(sum_tls_ms, 0), coalesce(sum_first_byte_ms, 0),
           bins, bin_checks
    FROM checks_15m AS known
    LEFT JOIN phases_15m AS phases
        ON phases.service_id = known.service_id AND phases.location = known.location AND phases.bucket = known.bucket
       AND phases.service_id = service AND phases.location = place AND phases.bucket >= first AND phases.bucket < finish
    LEFT JOIN (
        SELECT service_id, location, bucket,
               array_agg(bin ORDER BY bin) AS bins, array_agg(checks::integer ORDER BY bin) AS bin_checks
        FROM latency_15m
        WHERE service_id = service AND location = place AND bucket >= first AND bucket < finish
        GROUP BY service_id, location, bucket
    ) AS binned
        ON binned.service_id = known.service_id AND binned.location = known.location AND binned.bucket = known.bucket
    WHERE known.service_id = service AND known.location = place AND known.bucket >= first AND known.bucket < finish;
    PERFORM add_folded('{15m}');
END
$$;

-- Makes this span unknown, before its episodes are derived or estimated.
CREATE OR REPLACE FUNCTION blank_episodes(service text, place text, low timestamptz, high timestamptz, guessed boolean) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM make_room_for_new_episodes();
    INSERT INTO new_episodes (service_id, location, starts_at, ends_at, state, expires_at, estimated)
    SELECT service, place, low, high, 'unknown', low, guessed
    WHERE low < high;
    PERFORM replace_episodes();
END
$$;

-- Estimates episodes that are older than the raw checks from the old aggregates, which have how long each state lasted
-- in a quarter of an hour, but not when. An outage is placed next to the one in the quarter before or after, if there
-- is one.
CREATE OR REPLACE FUNCTION estimate_episodes(service text, place text, first timestamptz, finish timestamptz) RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM make_room_for_new_episodes();
    INSERT INTO new_episodes (service_id, location, starts_at, ends_at, state, expires_at, estimated)
    WITH quarters AS (
        SELECT bucket, down, degraded, operational, 900 - down - degraded - operational AS unknown,
               down > 0 AND lag(down, 1, 0) OVER line = 0 AND lead(down, 1, 0) OVER line > 0
                   AND lead(bucket) OVER line = bucket + interval '15 minutes' AS outage_last
        FROM (
            SELECT bucket,
                   least(down_seconds, 900)                                                              AS down,
                   least(degraded_seconds, 900 - least(down_seconds, 900))                               AS degraded,
                   least(greatest(covered_seconds, 0), 900)
                       - least(down_seconds, 900) - least(degraded_seconds, 900 - least(down_seconds, 900)) AS operational
            FROM checks_15m
            WHERE service_id = service AND location = place AND bucket >= first AND bucket < finish
        ) AS seconds
        WINDOW line AS (ORDER BY bucket)
    ), placed AS (
        SELECT bucket, turn, state, seconds,
               sum(seconds) OVER (PARTITION BY bucket ORDER BY turn) - seconds AS offset_seconds
        FROM quarters
        CROSS JOIN LATERAL (VALUES
            (CASE WHEN outage_last THEN 4 ELSE 1 END, 'outage'::service_state, down),
            (2, 'degraded', degraded),
            (3, 'operational', operational),
            (CASE WHEN outage_last THEN 1 ELSE 5 END, 'unknown', unknown)
        ) AS part (turn, state, seconds)
        WHERE seconds > 0
    )
    SELECT service, place,
           bucket + offset_seconds * interval '1 second',
           bucket + (offset_seconds + seconds) * interval '1 second',
           state,
           CASE WHEN state = 'unknown' THEN bucket + offset_seconds * interval '1 second' END,
           true
    FROM placed;
    IF EXISTS (SELECT FROM new_episodes) THEN
        PERFORM replace_episodes();
    END IF;
END
$$;

-- Whether the episode of a check is left to a task: the check is older than the known episodes of its service and location.
CREATE OR REPLACE FUNCTION left_to_upgrade(service text, place text, at timestamptz) RETURNS boolean
    LANGUAGE plpgsql STABLE AS
$$
BEGIN
    IF to_regclass('upgrade_tasks') IS NULL THEN
        RETURN false;
    END IF;
    RETURN coalesce(at < (SELECT min(starts_at) FROM episodes WHERE service_id = service AND location = place), false)
       AND EXISTS (SELECT FROM upgrade_tasks WHERE step = 'episodes' AND service_id = service AND location = place);
END
$$;

-- The time (plus a microsecond) from which on all locations of a service have episodes, while tasks of the service are left; NULL
-- after the last one. Until then some locations have episodes of earlier times than others. States of those times are derived by the
-- last task.
CREATE OR REPLACE FUNCTION all_known_from(service text) RETURNS timestamptz
    LANGUAGE plpgsql STABLE AS
$$
BEGIN
    IF to_regclass('upgrade_tasks') IS NULL OR NOT EXISTS (SELECT FROM upgrade_tasks WHERE service_id = service) THEN
        RETURN NULL;
    END IF;
    RETURN (SELECT max(first) + interval '1 microsecond'
            FROM (SELECT min(starts_at) AS first FROM episodes WHERE service_id = service GROUP BY location) AS locations);
END
$$;

-- From when on the stored outages of these services agree with state_timeline. Before the last task of a service, its stored outages
-- lack late checks that are left to the tasks. What such a check changes begins or ends at an unknown time before the timeline, so
-- outages are derived from the first moment on at which an outage is stored if and only if the timeline has one. Services without
-- such a moment are left out.
CREATE OR REPLACE FUNCTION settled_lows(service_ids text[], lows timestamptz[], OUT settled_ids text[], OUT settled_from timestamptz[])
    LANGUAGE plpgsql STABLE AS
$$
BEGIN
    SELECT array_agg(service_id), array_agg(low)
    INTO settled_ids, settled_from
    FROM (
        SELECT span.service_id, min(at) + interval '1 microsecond' AS low
        FROM unnest(service_ids, lows) AS span (service_id, low)
        JOIN state_timeline USING (service_id)
        WHERE state = 'unknown'
           OR (state = 'outage') = EXISTS (SELECT
                                           FROM outages
                                           WHERE outages.service_id = span.service_id
                                             AND started_at <= at AND (ended_at > at OR ended_at IS NULL))
        GROUP BY span.service_id
    ) AS settled;
END
$$;

-- Executes the next task in the caller's transaction. Returns false if there is none, or if it has to wait for the old
-- aggregates.
CREATE OR REPLACE FUNCTION run_upgrade_task() RETURNS boolean
    LANGUAGE plpgsql AS
$$
DECLARE
    task      record;
    first_raw timestamptz;
BEGIN
    PERFORM lock_recording();
    IF to_regclass('upgrade_tasks') IS NULL THEN
        RETURN false;
    END IF;
    SELECT * INTO task FROM upgrade_tasks ORDER BY id LIMIT 1 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    first_raw := least(greatest(first_raw_quarter(), task.low), task.high);
    -- Late checks must be in the old aggregates first.
    IF task.step = 'quarters' AND EXISTS (SELECT FROM touched_ranges WHERE range && tstzrange(task.low, first_raw)) THEN
        RETURN false;
    END IF;
    CASE task.step
        WHEN 'quarters' THEN
            PERFORM adopt_quarters(task.service_id, task.location, task.low, first_raw);
            PERFORM replace_quarters(task.service_id, task.location, first_raw, task.high);
        WHEN 'tiers' THEN
            -- Up to the watermark: fold_checks() has added to open hours and days meanwhile.
            PERFORM replace_tiers(task.service_id, task.location, task.low, rollup_watermark());
        WHEN 'episodes' THEN
            IF first_raw < task.high THEN
                PERFORM blank_episodes(task.service_id, task.location, first_raw, task.high, false);
                PERFORM derive_episodes(ARRAY[task.service_id], ARRAY[task.location], ARRAY[first_raw], ARRAY[task.high]);
            END IF;
            IF task.low < first_raw THEN
                PERFORM blank_episodes(task.service_id, task.location, task.low, first_raw, true);
                PERFORM estimate_episodes(task.service_id, task.location, task.low, first_raw);
            END IF;
        WHEN 'outages' THEN
            -- Removes the unknown time before the first check.
            DELETE FROM episodes
            WHERE service_id = task.service_id AND location = task.location AND state = 'unknown'
              AND ends_at <= (SELECT min(starts_at) FROM episodes
                              WHERE service_id = task.service_id AND location = task.location AND state <> 'unknown');
            PERFORM note_changed_episodes(ARRAY[task.service_id], ARRAY[task.low]);
            -- A service that was deleted before has not been monitored since its last check.
            INSERT INTO service_pauses (service_id, paused_at)
            SELECT service_id, max(starts_at)
            FROM episodes
            WHERE service_id = task.service_id AND state = 'unknown' AND ends_at IS NULL
              AND NOT EXISTS (SELECT FROM services WHERE id = task.service_id)
            GROUP BY service_id
            ON CONFLICT DO NOTHING;
            -- Not derive_service_states: these outages replace the stored ones, whatever those are.
            PERFORM derive_timeline(ARRAY[task.service_id], ARRAY[greatest(task.low, first_raw_quarter())]);
            PERFORM derive_outages(ARRAY[task.service_id], ARRAY[greatest(task.low, first_raw_quarter())]);
            PERFORM derive_present_states();
    END CASE;
    DELETE FROM upgrade_tasks WHERE id = task.id;
    RETURN true;
END
$$;
