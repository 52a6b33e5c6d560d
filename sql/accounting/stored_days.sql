-- The days that are over, stored in sla_days, and the last 90 days of the status page, in sla_strips. The worker stores them
-- (refresh_sla_days); readers compute what is not stored or out of date.

-- The last closed day of services whose figures are final, among the days from `first_day` to yesterday. An outage that goes on at the
-- end of a day may reach the shortest outage that counts after it.
CREATE OR REPLACE FUNCTION sla_final_days(service_ids text[]) RETURNS TABLE (service_id text, final_day date)
    LANGUAGE plpgsql STABLE AS
$$
#variable_conflict use_column
DECLARE
    zone      CONSTANT text        := reporting_time_zone();
    yesterday CONSTANT date        := local_date(present(), zone) - 1;
    midnight  CONSTANT timestamptz := local_day_start(yesterday + 1, zone);
    shortest  CONSTANT interval    := (SELECT coalesce(max(shortest_outage_seconds), 0) FROM sla_policy_versions) * interval '1 second';
BEGIN
    RETURN QUERY
    SELECT service_id,
           CASE WHEN present() >= midnight + shortest THEN yesterday
                WHEN EXISTS (SELECT
                             FROM episodes
                             WHERE episodes.service_id = chosen.service_id AND state IN ('outage', 'unknown')
                               AND starts_at < midnight AND (ends_at >= midnight OR ends_at IS NULL))
                  OR EXISTS (SELECT FROM sla_correction_spans WHERE span && tstzrange(midnight, midnight, '[]'))
                    -- One day more, because the day before may have had 23 hours only.
                    THEN yesterday - 2
                ELSE yesterday
           END
    FROM unnest(service_ids) AS chosen (service_id);
END
$$;

-- The 89 days up to `last_day` of services as strips: see sla_strips.
CREATE OR REPLACE FUNCTION sla_strips_upto(service_ids text[], last_day date)
    RETURNS TABLE (service_id text, accounted boolean, known bit(90), degraded bit(90), failed bit(90), lost_seconds numeric,
                   known_seconds numeric)
    LANGUAGE sql STABLE ROWS 1000 AS
$$
SELECT service_id,
       bool_or(accounted),
       coalesce(bit_or(bit) FILTER (WHERE status > 'nd'), 0::bit(90)),
       coalesce(bit_or(bit) FILTER (WHERE status >= 'po'), 0::bit(90)),
       coalesce(bit_or(bit) FILTER (WHERE status = 'mo'), 0::bit(90)),
       sum(lost_seconds),
       sum(known_seconds)
FROM days_of_services(service_ids, last_day - 88, last_day)
CROSS JOIN LATERAL (SELECT 1::bit(90) << last_day - day AS bit) AS placed
GROUP BY service_id
$$;

-- The last 90 days of the services for which at least one of them is accounted, with today as the last digit. Today is missing in
-- them if it is not accounted (`with_today`).
CREATE OR REPLACE FUNCTION sla_strips_today()
    RETURNS TABLE (service_id text, with_today boolean, known bit(90), degraded bit(90), failed bit(90), lost_seconds numeric,
                   known_seconds numeric)
    LANGUAGE plpgsql STABLE ROWS 1000 AS
$$
#variable_conflict use_column
DECLARE
    today CONSTANT date := local_date(present(), reporting_time_zone());
    fresh text[];
    other text[];
BEGIN
    IF NOT EXISTS (SELECT FROM sla_policy_versions) THEN
        RETURN;
    END IF;
    fresh := ARRAY(SELECT service_id FROM sla_fresh_strips(ARRAY(SELECT id FROM services)));
    other := ARRAY(SELECT id FROM services EXCEPT SELECT unnest(fresh));
    RETURN QUERY
    WITH closed AS (
        SELECT service_id, accounted, known << 1 AS known, degraded << 1 AS degraded, failed << 1 AS failed, lost_seconds, known_seconds
        FROM sla_strips
        WHERE service_id = ANY (fresh)
        UNION ALL
        SELECT service_id, accounted, known << 1, degraded << 1, failed << 1, lost_seconds, known_seconds
        FROM sla_strips_upto(other, today - 1)
    ), running AS (
        SELECT service_id, true AS accounted, status, spent_seconds AS lost_seconds,
               up_seconds + degraded_seconds + down_seconds AS known_seconds
        FROM sla_today(fresh || other)
    )
    SELECT service_id,
           running.service_id IS NOT NULL,
           coalesce(known, 0::bit(90)) | (coalesce(status, 'nd') > 'nd')::integer::bit(90),
           coalesce(degraded, 0::bit(90)) | (coalesce(status, 'nd') >= 'po')::integer::bit(90),
           coalesce(failed, 0::bit(90)) | (coalesce(status, 'nd') = 'mo')::integer::bit(90),
           coalesce(closed.lost_seconds, 0) + coalesce(running.lost_seconds, 0),
           coalesce(closed.known_seconds, 0) + coalesce(running.known_seconds, 0)
    FROM closed
    FULL JOIN running USING (service_id)
    WHERE closed.accounted OR running.accounted;
END
$$;

-- The services whose strips are stored and up to date.
CREATE OR REPLACE FUNCTION sla_fresh_strips(service_ids text[]) RETURNS SETOF sla_strips
    LANGUAGE sql STABLE AS
$$
SELECT *
FROM sla_strips
WHERE service_id = ANY (service_ids) AND upto = local_date(present(), reporting_time_zone()) - 1
  AND NOT EXISTS (SELECT FROM sla_changed_days WHERE sla_changed_days.service_id = sla_strips.service_id)
$$;

-- The accounted figures of today, so far, of services. Most are quiet.
CREATE OR REPLACE FUNCTION sla_today(service_ids text[]) RETURNS SETOF sla_days
    LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_generic_plan AS
$$
#variable_conflict use_column
DECLARE
    today  CONSTANT date := local_date(present(), reporting_time_zone());
    quiet  sla_days[];
BEGIN
    quiet := ARRAY(SELECT figures FROM sla_quiet_today(service_ids) AS figures);
    RETURN QUERY SELECT * FROM unnest(quiet);
    RETURN QUERY
    SELECT computed.*
    FROM sla_computed_days(ARRAY(SELECT unnest(service_ids)
                                 EXCEPT SELECT service_id FROM unnest(quiet)
                                 EXCEPT SELECT service_id FROM sla_fresh_strips(service_ids) WHERE NOT applies), today, today) AS computed;
END
$$;

-- The accounted figures of today of quiet services: all of today, one location is up, none has failed or been slow, nothing is corrected
-- or announced as maintenance, and one policy version applies. So they are up in the service hours. This is a shortcut: the result is that
-- of sla_computed_days().
CREATE OR REPLACE FUNCTION sla_quiet_today(service_ids text[]) RETURNS SETOF sla_days
    LANGUAGE plpgsql STABLE ROWS 1000 AS
$$
#variable_conflict use_column
DECLARE
    today   CONSTANT date        := local_date(present(), reporting_time_zone());
    low     CONSTANT timestamptz := local_day_start(today, reporting_time_zone());
    elapsed CONSTANT tstzrange   := tstzrange(low, present(), '[]');
BEGIN
    RETURN QUERY
    WITH versions AS MATERIALIZED (
        SELECT policy_id, version, spans_seconds(sla_service_hours(policy_id, version, low, present())) AS up_seconds
        FROM (SELECT DISTINCT policy_id, version FROM sla_strips WHERE version IS NOT NULL) AS listed
    ), steady AS MATERIALIZED (
        SELECT DISTINCT service_id FROM episodes WHERE ends_at IS NULL AND state = 'operational' AND starts_at <= low
    ), unsteady AS MATERIALIZED (
        SELECT service_id FROM episodes WHERE ends_at IS NULL AND state IN ('outage', 'degraded')
        UNION
        SELECT service_id FROM episodes WHERE ends_at > low AND state IN ('outage', 'degraded')
        UNION
        SELECT unnest(announced.service_ids) FROM maintenance_announcements AS announced WHERE span && elapsed
        UNION
        SELECT unnest(sla_services_concerned(scope, subject))
        FROM sla_correction_spans
        JOIN sla_corrections ON id = correction_id
        WHERE span && elapsed AND (withdrawn_at IS NULL OR withdrawn_at > present())
    )
    SELECT service_id, today,
           CASE WHEN up_seconds > 0 THEN 'o' ELSE 'nd' END::severity,
           up_seconds, 0::numeric, 0::numeric, 0::numeric, 0::numeric, 0::numeric,
           extract(epoch FROM present() - low) - up_seconds, 0::numeric
    FROM sla_fresh_strips(service_ids)
    JOIN versions USING (policy_id, version)
    JOIN steady USING (service_id)
    WHERE service_id NOT IN (SELECT service_id FROM unsteady)
      AND present() > low;
END
$$;

-- Stores the closed days of at most `most` services for which they are missing or out of date, and appends the event `uptime-updated`
-- for each stored day whose status has changed. Returns the number of services. What commits during this call is not in the figures,
-- and its marks are not deleted. Can be executed by several workers: each service is done by one of them.
CREATE OR REPLACE FUNCTION refresh_sla_days(most integer) RETURNS integer
    LANGUAGE plpgsql AS
$$
#variable_conflict use_column
DECLARE
    today   date;
    ids     text[];
    marks   bigint[];
    current boolean;
    batch   record;
BEGIN
    -- A change of the time zone holds this lock too.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('sla-monitor accounting', 0)) THEN
        RETURN 0;
    END IF;
    today := local_date(present(), reporting_time_zone());
    DELETE FROM sla_changed_days
    WHERE NOT EXISTS (SELECT FROM sla_policy_versions) OR service_id NOT IN (SELECT id FROM services);
    -- A deleted service may be created again: its days are computed anew then.
    DELETE FROM sla_strips WHERE service_id NOT IN (SELECT id FROM services);
    -- Days without a policy are complete when day_strips are stored.
    current := (SELECT max(upto) FROM day_strips) = today - 1;
    SELECT array_agg(service_id)
    INTO ids
    FROM (
        SELECT id AS service_id
        FROM services
        LEFT JOIN sla_strips ON service_id = services.id
        WHERE EXISTS (SELECT FROM sla_policy_versions)
          AND (stored_upto IS NULL
               OR EXISTS (SELECT FROM sla_changed_days WHERE service_id = services.id)
               OR (stored_upto < today - 1 AND stored_upto < (SELECT final_day FROM sla_final_days(ARRAY[id])))
               OR (current AND upto IS DISTINCT FROM today - 1 AND stored_upto = today - 1))
        ORDER BY id
        LIMIT most
    ) AS outdated;
    IF ids IS NULL THEN
        RETURN 0;
    END IF;
    -- Read before the figures, so that no later mark is deleted.
    marks := ARRAY(SELECT id FROM sla_changed_days WHERE service_id = ANY (ids));
    FOR batch IN
        SELECT computed_from, final_day, array_agg(service_id) AS service_ids
        FROM sla_days_to_compute(ids, '-infinity')
        JOIN sla_final_days(ids) USING (service_id)
        GROUP BY computed_from, final_day
    LOOP
        PERFORM store_sla_days(batch.service_ids, batch.computed_from, batch.final_day);
    END LOOP;
    DELETE FROM sla_changed_days WHERE id = ANY (marks);
    IF current THEN
        PERFORM store_sla_strips(ids, today - 1);
    END IF;
    RETURN cardinality(ids);
END
$$;

-- A step of refresh_sla_days: replaces the days of services from `first_day` on; those up to `last_day` are final.
CREATE OR REPLACE FUNCTION store_sla_days(service_ids text[], first_day date, last_day date) RETURNS void
    LANGUAGE plpgsql AS
$$
#variable_conflict use_column
DECLARE
    -- No day is accounted before the first policy and the first check.
    first   CONSTANT date := greatest(first_day,
                                      (SELECT min(valid_from) - 1 FROM sla_policy_versions),
                                      (SELECT local_date(min(starts_at), reporting_time_zone())
                                       FROM episodes
                                       WHERE service_id = ANY (service_ids)));
    changed jsonb;
BEGIN
    WITH computed AS MATERIALIZED (
        SELECT * FROM sla_computed_days(service_ids, first, last_day) WHERE first <= last_day
    ), gone AS (
        DELETE FROM sla_days
        WHERE service_id = ANY (service_ids) AND day >= first_day
          AND (service_id, day) NOT IN (SELECT service_id, day FROM computed)
    ), stored AS (
        INSERT INTO sla_days (service_id, day, status, up_seconds, degraded_seconds, down_seconds, unknown_seconds, maintained_seconds,
                              excluded_seconds, outside_seconds, spent_seconds)
        SELECT service_id, day, status, up_seconds, degraded_seconds, down_seconds, unknown_seconds, maintained_seconds,
               excluded_seconds, outside_seconds, spent_seconds
        FROM computed
        ON CONFLICT (service_id, day) DO UPDATE
        SET status = excluded.status, up_seconds = excluded.up_seconds, degraded_seconds = excluded.degraded_seconds,
            down_seconds = excluded.down_seconds, unknown_seconds = excluded.unknown_seconds,
            maintained_seconds = excluded.maintained_seconds, excluded_seconds = excluded.excluded_seconds,
            outside_seconds = excluded.outside_seconds, spent_seconds = excluded.spent_seconds
    )
    SELECT jsonb_agg(jsonb_build_object('service_id', service_id, 'day', day, 'status', computed.status))
    INTO changed
    FROM computed
    LEFT JOIN sla_days AS former USING (service_id, day)
    LEFT JOIN announced_days AS announced USING (service_id, day)
    WHERE computed.status <> coalesce(worst, former.status);

    INSERT INTO sla_strips AS known (service_id, stored_upto)
    SELECT service_id, greatest(last_day, first_day - 1) FROM unnest(service_ids) AS service_id
    ON CONFLICT (service_id) DO UPDATE SET stored_upto = excluded.stored_upto, upto = NULL;
    PERFORM announce_accounted_days(changed);
END
$$;

-- A step of refresh_sla_days: stores the strips of services whose days are stored up to `last_day`.
CREATE OR REPLACE FUNCTION store_sla_strips(service_ids text[], last_day date) RETURNS void
    LANGUAGE sql AS
$$
UPDATE sla_strips
SET upto          = last_day,
    accounted     = coalesce(strips.accounted, false),
    known         = coalesce(strips.known, 0::bit(90)),
    degraded      = coalesce(strips.degraded, 0::bit(90)),
    failed        = coalesce(strips.failed, 0::bit(90)),
    lost_seconds  = coalesce(strips.lost_seconds, 0),
    known_seconds = coalesce(strips.known_seconds, 0),
    applies       = coalesce(applied.applies, false),
    policy_id     = applied.policy_id,
    version       = applied.version
FROM unnest(service_ids) AS chosen (id)
LEFT JOIN sla_strips_upto(service_ids, last_day) AS strips ON strips.service_id = id
LEFT JOIN (
    SELECT service_id, true AS applies,
           -- Of several versions on the day, none covers all of it.
           min(policy_id::text) FILTER (WHERE during @> today)::uuid AS policy_id,
           min(version) FILTER (WHERE during @> today)               AS version
    FROM sla_applied(service_ids, present())
    CROSS JOIN (SELECT tstzrange(local_day_start(last_day + 1, reporting_time_zone()),
                                 local_day_start(last_day + 2, reporting_time_zone())) AS today) AS bounds
    WHERE during && today
    GROUP BY service_id
) AS applied ON applied.service_id = id
WHERE sla_strips.service_id = id AND stored_upto = last_day
$$;

-- Appends the event `uptime-updated` for the services whose status of today under accounting differs from the last event.
CREATE OR REPLACE FUNCTION announce_sla_today() RETURNS void
    LANGUAGE plpgsql AS
$$
BEGIN
    IF EXISTS (SELECT FROM sla_policy_versions) THEN
        PERFORM announce_accounted_days(jsonb_agg(jsonb_build_object('service_id', service_id, 'day', day, 'status', status)))
        FROM sla_today(ARRAY(SELECT id FROM services))
        LEFT JOIN announced_days AS known USING (service_id, day)
        WHERE status <> coalesce(worst, 'nd');
    END IF;
END
$$;
