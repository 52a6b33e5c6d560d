-- The days of services under SLA accounting, for the calendar and every uptime: see "Days" in docs/accounting.md. Days are those of
-- the installation. A day is accounted if a policy applies to the service in some of it; then only that time counts.

-- As sla_cut_figures(), for up to about a hundred services: the time for more of them is not linear.
CREATE OR REPLACE FUNCTION sla_cut_few(service_ids text[], bounds timestamptz[])
    RETURNS TABLE (service_id text, number integer, status severity, up_seconds numeric, degraded_seconds numeric, down_seconds numeric,
                   unknown_seconds numeric, maintained_seconds numeric, excluded_seconds numeric, outside_seconds numeric,
                   spent_seconds numeric)
    LANGUAGE sql STABLE AS
$$
WITH parts AS MATERIALIZED (
    SELECT row_number() OVER () AS part, service_id, policy_id, version, lower(span) AS low, upper(span) AS high
    FROM sla_applied(service_ids, present())
    CROSS JOIN LATERAL unnest(during * tstzmultirange(tstzrange(bounds[1], bounds[cardinality(bounds)]))) AS span
), states AS MATERIALIZED (
    SELECT states.*
    FROM (SELECT array_agg(service_id ORDER BY part) AS service_ids, array_agg(policy_id ORDER BY part) AS policies,
                 array_agg(version ORDER BY part) AS versions, array_agg(low ORDER BY part) AS lows, array_agg(high ORDER BY part) AS highs
          FROM parts) AS listed
    CROSS JOIN LATERAL sla_states(listed.service_ids, policies, versions, lows, highs, present()) AS states
), pieces AS (
    SELECT service_id, number, degraded_weight, state,
           extract(epoch FROM least(upper(span), bounds[number + 1]) - greatest(lower(span), bounds[number])) AS seconds
    FROM states
    JOIN parts USING (part)
    JOIN sla_policy_versions USING (policy_id, version)
    CROSS JOIN LATERAL (
        VALUES ('up', up), ('degraded', degraded), ('down', down), ('unknown', states.unknown), ('maintained', maintained),
               ('excluded', excluded), ('outside', outside)
    ) AS each (state, spans)
    CROSS JOIN LATERAL unnest(spans) AS span
    CROSS JOIN LATERAL generate_series(width_bucket(lower(span), bounds),
                                       width_bucket(upper(span) - interval '1 microsecond', bounds)) AS number
), sums AS (
    SELECT service_id, number,
           coalesce(sum(seconds) FILTER (WHERE state = 'up'), 0)         AS up_seconds,
           coalesce(sum(seconds) FILTER (WHERE state = 'degraded'), 0)   AS degraded_seconds,
           coalesce(sum(seconds) FILTER (WHERE state = 'down'), 0)       AS down_seconds,
           coalesce(sum(seconds) FILTER (WHERE state = 'unknown'), 0)    AS unknown_seconds,
           coalesce(sum(seconds) FILTER (WHERE state = 'maintained'), 0) AS maintained_seconds,
           coalesce(sum(seconds) FILTER (WHERE state = 'excluded'), 0)   AS excluded_seconds,
           coalesce(sum(seconds) FILTER (WHERE state = 'outside'), 0)    AS outside_seconds,
           coalesce(sum(degraded_weight * seconds) FILTER (WHERE state = 'degraded'), 0) AS weighted_seconds
    FROM pieces
    GROUP BY service_id, number
)
SELECT service_id, number,
       CASE WHEN down_seconds > 0 THEN 'mo' WHEN degraded_seconds > 0 THEN 'po' WHEN up_seconds > 0 THEN 'o' ELSE 'nd' END::severity,
       up_seconds, degraded_seconds, down_seconds, unknown_seconds, maintained_seconds, excluded_seconds, outside_seconds,
       down_seconds + weighted_seconds
FROM sums
$$;

-- What the time of services counts as, in each span between two of these ascending times. `number` counts the spans from 1. No row
-- without a policy, and before the first check. See sla_days for the other columns.
CREATE OR REPLACE FUNCTION sla_cut_figures(service_ids text[], bounds timestamptz[])
    RETURNS TABLE (service_id text, number integer, status severity, up_seconds numeric, degraded_seconds numeric, down_seconds numeric,
                   unknown_seconds numeric, maintained_seconds numeric, excluded_seconds numeric, outside_seconds numeric,
                   spent_seconds numeric)
    LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_generic_plan AS
$$
BEGIN
    FOR first_service IN 1 .. cardinality(service_ids) BY 100 LOOP
        RETURN QUERY SELECT * FROM sla_cut_few(service_ids[first_service : first_service + 99], bounds);
    END LOOP;
END
$$;

-- The accounted days of services, computed.
CREATE OR REPLACE FUNCTION sla_computed_days(service_ids text[], first_day date, last_day date) RETURNS SETOF sla_days
    LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_generic_plan AS
$$
#variable_conflict use_column
DECLARE
    zone   CONSTANT text          := reporting_time_zone();
    bounds CONSTANT timestamptz[] := ARRAY(SELECT local_day_start(first_day + number, zone)
                                           FROM generate_series(0, last_day - first_day + 1) AS number);
BEGIN
    RETURN QUERY
    SELECT service_id, first_day + number - 1, status, up_seconds, degraded_seconds, down_seconds, unknown_seconds, maintained_seconds,
           excluded_seconds, outside_seconds, spent_seconds
    FROM sla_cut_figures(service_ids, bounds);
END
$$;

-- The first day of each service that is not stored in sla_days, from `first_day` on: today at the latest.
CREATE OR REPLACE FUNCTION sla_days_to_compute(service_ids text[], first_day date) RETURNS TABLE (service_id text, computed_from date)
    LANGUAGE sql STABLE AS
$$
SELECT service_id,
       greatest(first_day, least(coalesce(stored_upto + 1, '-infinity'), changed_from, local_date(present(), reporting_time_zone())))
FROM unnest(service_ids) AS service_id
LEFT JOIN sla_strips USING (service_id)
LEFT JOIN (SELECT service_id, min(first_day) AS changed_from FROM sla_changed_days GROUP BY service_id) AS changed USING (service_id)
$$;

-- The accounted days of services (NULL: of all that exist), today at the latest: stored ones, and the others computed.
CREATE OR REPLACE FUNCTION sla_days_of(service_ids text[], first_day date, last_day date) RETURNS SETOF sla_days
    LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_generic_plan AS
$$
#variable_conflict use_column
DECLARE
    -- A policy in another time zone may begin on the day before.
    first CONSTANT date   := greatest(first_day, (SELECT min(valid_from) - 1 FROM sla_policy_versions));
    today CONSTANT date   := local_date(present(), reporting_time_zone());
    last  CONSTANT date   := least(last_day, today);
    ids   CONSTANT text[] := coalesce(service_ids, ARRAY(SELECT id FROM services));
    batch          record;
BEGIN
    IF first > last OR NOT EXISTS (SELECT FROM sla_policy_versions) THEN
        RETURN;
    END IF;
    FOR batch IN
        SELECT computed_from, array_agg(service_id) AS service_ids FROM sla_days_to_compute(ids, first) GROUP BY computed_from
    LOOP
        RETURN QUERY
        SELECT * FROM sla_days WHERE service_id = ANY (batch.service_ids) AND day BETWEEN first AND least(last, batch.computed_from - 1);
        IF batch.computed_from = today AND last = today THEN
            RETURN QUERY SELECT * FROM sla_today(batch.service_ids);
        ELSIF batch.computed_from <= last THEN
            RETURN QUERY SELECT * FROM sla_computed_days(batch.service_ids, batch.computed_from, last);
        END IF;
    END LOOP;
END
$$;

-- The days of services (NULL: of all that exist) with data. Tomorrow has some if the clock of a prober is ahead; such a day is by
-- checks. `lost_seconds` of `known_seconds` are lost: by
-- accounting, or, on a day without a policy, by checks, as the mean of the locations. `down_seconds` and `covered_seconds` are always
-- by checks, summed over the locations. `downtime_seconds` is for readers.
CREATE OR REPLACE FUNCTION days_of_services(service_ids text[], first_day date, last_day date)
    RETURNS TABLE (service_id text, day date, starts_at timestamptz, accounted boolean, status severity, checks bigint,
                   down_seconds bigint, covered_seconds bigint, lost_seconds numeric, known_seconds numeric, downtime_seconds numeric)
    LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS
$$
#variable_conflict use_column
DECLARE
    zone      CONSTANT text        := reporting_time_zone();
    today     CONSTANT date        := local_date(present(), zone);
    low       CONSTANT timestamptz := local_day_start(first_day, zone);
    high      CONSTANT timestamptz := local_day_start(last_day + 1, zone);
    only_one  CONSTANT text        := CASE WHEN cardinality(service_ids) = 1 THEN service_ids[1] END;
BEGIN
    RETURN QUERY
    SELECT service_id, day, coalesce(checked.starts_at, local_day_start(day, zone)),
           accounted.day IS NOT NULL,
           coalesce(accounted.status, checked.status),
           coalesce(checks, 0),
           coalesce(checked.down_seconds, 0),
           coalesce(covered_seconds, 0),
           coalesce(spent_seconds, checked.down_seconds::numeric / locations),
           coalesce(up_seconds + accounted.degraded_seconds + accounted.down_seconds, covered_seconds::numeric / locations),
           coalesce(accounted.down_seconds, checked.down_seconds / locations)
    FROM (
        SELECT service_id, day, starts_at, status::severity AS status, locations, checks, down_seconds, covered_seconds
        FROM service_days
        WHERE starts_at >= low AND starts_at < high
          AND (service_ids IS NULL OR service_id = ANY (service_ids))
          -- Repeated, so that the index of one service is used.
          AND (only_one IS NULL OR service_id = only_one)
    ) AS checked
    FULL JOIN sla_days_of(service_ids, first_day, least(last_day, today)) AS accounted USING (service_id, day);
END
$$;

-- The time of services from `since` until now, with the columns of days_of_services: a row for each service under an SLA policy, and
-- rows for each quarter of an hour of the others. `since` is the start of a quarter of an hour.
CREATE OR REPLACE FUNCTION hours_of_services(service_ids text[], since timestamptz)
    RETURNS TABLE (service_id text, starts_at timestamptz, accounted boolean, down_seconds bigint, covered_seconds bigint,
                   lost_seconds numeric, known_seconds numeric, downtime_seconds numeric)
    LANGUAGE plpgsql STABLE ROWS 1000 SET plan_cache_mode = force_custom_plan AS
$$
#variable_conflict use_column
DECLARE
    only_one CONSTANT text := CASE WHEN cardinality(service_ids) = 1 THEN service_ids[1] END;
BEGIN
    RETURN QUERY
    WITH accounted AS MATERIALIZED (
        SELECT * FROM sla_cut_figures(service_ids, ARRAY[since, present()])
    )
    SELECT service_id, since, true, 0::bigint, 0::bigint, spent_seconds, up_seconds + degraded_seconds + down_seconds, down_seconds
    FROM accounted
    UNION ALL
    SELECT service_id, bucket, false, sum(down_seconds)::bigint, sum(covered_seconds)::bigint,
           sum(down_seconds)::numeric / count(*), sum(covered_seconds)::numeric / count(*), sum(down_seconds)::numeric / count(*)
    FROM checks_15m
    WHERE service_id = ANY (service_ids) AND bucket >= since
      AND (only_one IS NULL OR service_id = only_one)
      AND service_id NOT IN (SELECT service_id FROM accounted)
    GROUP BY service_id, bucket;
END
$$;

-- The uptime of several days or services from their sums: by the seconds lost if any of them is accounted, otherwise by checks.
CREATE OR REPLACE FUNCTION uptime_of_days(accounted boolean, lost_seconds numeric, known_seconds numeric, down_seconds numeric,
                                          covered_seconds numeric) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN uptime_percent(CASE WHEN accounted THEN lost_seconds ELSE down_seconds END,
                          CASE WHEN accounted THEN known_seconds ELSE covered_seconds END);
