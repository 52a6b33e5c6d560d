-- All checks are written by this function. It stores the rows of the session's temporary table incoming_checks in the
-- caller's transaction, each once, and keeps episodes, outages, states and rollups; it appends events and notifies. It
-- can be repeated: a row that is stored already changes nothing. It runs with the rights of its caller; probers call
-- record_checks_v2().
--
-- Rows that cannot be stored are kept in parked_checks with the reason; the rest of the batch is stored.
--
-- All steps use generic plans: all batches are alike, and planning takes longer than most of them. Statements that read
-- raw checks are planned each time (derive_episodes, fold_late), for the chunks or partitions of their times.
CREATE OR REPLACE FUNCTION record_incoming_checks(OUT stored integer, OUT duplicates integer, OUT parked integer)
    LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS
$$
DECLARE
    edge        timestamptz;
    -- While an installation of release 0.1 is upgraded, its aggregates receive late checks too.
    upgrading   boolean;
    legacy_edge timestamptz;
    -- The batch: its size, the times of its checks, and its services (NULL if reading all services takes less time than
    -- looking these up).
    received    bigint;
    earliest    timestamptz;
    latest      timestamptz;
    service_ids text[];
    careful     boolean := false;
    uncounted   boolean;
    -- Numbers of rows of ordered_checks, and whether the later steps may have something to do.
    batch       record;
BEGIN
    PERFORM lock_recording();
    SELECT watermark, legacy INTO edge, upgrading FROM rollup_state;
    SELECT count(*) INTO received FROM incoming_checks;
    -- Single services are looked up if there are more than about eight services per row of the batch (measured); a page
    -- of latest_checks has about 17 rows.
    IF received < pg_relation_size('latest_checks') / 4096 THEN
        service_ids := ARRAY(SELECT DISTINCT service_id FROM incoming_checks);
    END IF;
    parked := park_checks(oldest_check(), service_ids);
    SELECT min(scheduled_at), max(scheduled_at) INTO earliest, latest FROM incoming_checks;

    -- Fresh checks are not expected to be stored already. If one is (other programs can write checks), the batch is ordered again, and
    -- no check is fresh.
    LOOP
        BEGIN
            PERFORM order_checks(earliest, latest, service_ids, careful);
            SELECT count(*)                                                         AS ordered,
                   count(*) FILTER (WHERE fresh)                                    AS fresh,
                   count(*) FILTER (WHERE newest AND scheduled_at > known_at)       AS renewals,
                   bool_or(scheduled_at < edge)                                     AS any_folded,
                   bool_or(is_turn OR NOT fresh)                                    AS any_turns,
                   bool_or(NOT fresh OR day <> known_day OR severity > known_worst) AS any_worse
            INTO batch
            FROM ordered_checks;
            uncounted := store_checks(batch.ordered, batch.fresh, batch.renewals);
            EXIT;
        EXCEPTION WHEN unique_violation THEN
            IF careful THEN
                RAISE;
            END IF;
            careful := true;
        END;
    END LOOP;

    PERFORM keep_certificates();
    IF upgrading THEN
        legacy_edge := greatest(aggregates_watermark(), present() - interval '10 minutes');
        PERFORM note_touched(array_agg(scheduled_at)) FROM ordered_checks WHERE scheduled_at < legacy_edge HAVING count(*) > 0;
    END IF;
    IF batch.any_folded THEN
        PERFORM fold_late(array_agg(service_id), array_agg(location), array_agg(scheduled_at))
        FROM ordered_checks
        WHERE scheduled_at < edge
        HAVING count(*) > 0;
    END IF;
    IF batch.fresh < batch.ordered THEN
        PERFORM add_late_to_open_days();
    END IF;
    IF uncounted THEN
        PERFORM count_open_days();
    END IF;
    IF batch.any_turns THEN
        PERFORM derive_from_turns();
    END IF;
    IF batch.any_worse THEN
        PERFORM announce_worse_days();
    END IF;

    SELECT count(*) INTO stored FROM ordered_checks;
    duplicates := received - parked - stored;
    IF stored > 0 THEN
        PERFORM pg_notify('sla_monitor', 'checks');
    END IF;
END
$$;

-- A step of record_incoming_checks: derives episodes, outages and states for the checks in ordered_checks that may change
-- them. These are the checks that are not fresh, and each turn with the checks that follow it in this batch.
CREATE OR REPLACE FUNCTION derive_from_turns() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    -- A check that has not expired, although the next one is more than longest_check() later: its episode ends with its
    -- interval. It is the one before the first turn: the latest known check, or one of this batch that continues its
    -- episode. derive_episodes looks for the check before a turn only as far back as longest_check().
    PERFORM end_episodes(array_agg(service_id), array_agg(location),
                         array_agg(at_before + interval_before * interval '1 second'),
                         array_agg(at_before + check_lifetime(interval_before)))
    FROM (
        SELECT service_id, location, scheduled_at, is_turn,
               count(*) FILTER (WHERE is_turn) OVER run      AS turns,
               lag(scheduled_at, 1, known_at) OVER run       AS at_before,
               lag(interval_seconds, 1, known_interval) OVER run AS interval_before
        FROM ordered_checks
        WHERE fresh AND NOT expired
        WINDOW run AS (PARTITION BY service_id, location ORDER BY scheduled_at)
    ) AS runs
    WHERE is_turn AND turns = 1 AND scheduled_at > at_before + longest_check()
    HAVING count(*) > 0;

    PERFORM derive_changes(array_agg(service_id), array_agg(location), array_agg(scheduled_at))
    FROM (
        SELECT service_id, location, scheduled_at, fresh,
               bool_or(is_turn) OVER (PARTITION BY service_id, location, fresh ORDER BY scheduled_at) AS follows_turn
        FROM ordered_checks
        -- Most runs have a single row, and need no window function.
        WHERE is_turn OR NOT fresh OR NOT (first_of_run AND newest)
    ) AS candidates
    WHERE follows_turn OR NOT fresh
    HAVING count(*) > 0;
END
$$;

-- A step of record_incoming_checks: announces the days on which a check of ordered_checks is worse than those before it.
CREATE OR REPLACE FUNCTION announce_worse_days() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    PERFORM announce_days(jsonb_agg(to_jsonb(worse)))
    FROM (
        SELECT service_id, day, max(severity) AS worst
        FROM ordered_checks
        WHERE NOT fresh OR day <> known_day OR severity > known_worst
        GROUP BY service_id, day
    ) AS worse
    HAVING count(*) > 0;
END
$$;

-- The table that batches are copied into. It belongs to the session and is empty after each commit. Its columns accept
-- values that checks refuses, so that one bad row is parked and does not fail its batch.
CREATE OR REPLACE FUNCTION make_incoming_checks() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF to_regclass('pg_temp.incoming_checks') IS NULL THEN
        CREATE TEMP TABLE incoming_checks (
            service_id             text COLLATE "C",
            location               text COLLATE "C",
            scheduled_at           timestamptz,
            finished_at            timestamptz,
            interval_seconds       integer,
            status_code            integer,
            success                boolean,
            severity               text,
            total_ms               real,
            dns_ms                 real,
            connect_ms             real,
            tls_ms                 real,
            first_byte_ms          real,
            attempts               integer,
            error_type             text,
            error_message          text,
            certificate_expires_at timestamptz,
            certificate_issuer     text
        ) ON COMMIT DELETE ROWS;
    END IF;
END
$$;

-- What probers call: with the rights of the owner of the schema, so that the role of a prober needs none on the tables that
-- are written. This role may not create temporary tables: their triggers would run with the rights of the owner.
CREATE OR REPLACE FUNCTION prepare_incoming_checks() RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    PERFORM make_incoming_checks();
    GRANT INSERT ON pg_temp.incoming_checks TO PUBLIC;
END
$$;

CREATE OR REPLACE FUNCTION record_checks_v2(OUT stored integer, OUT duplicates integer, OUT parked integer)
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
SELECT stored, duplicates, parked FROM record_incoming_checks()
$$;

-- The name that probers of release 0.1 call.
CREATE OR REPLACE FUNCTION record_checks(OUT stored integer, OUT duplicates integer, OUT parked integer)
    LANGUAGE sql AS
$$
SELECT stored, duplicates, parked FROM record_incoming_checks()
$$;
