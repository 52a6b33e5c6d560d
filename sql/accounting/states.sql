-- What time counts as under an SLA policy. A part is a service, a policy version and a window in which it applies; the
-- arrays of the functions have one element for each part, and results name the part by its position.

-- The state of each part as its locations saw it, by the quorum of its policy version. A location takes part while it has
-- data. Without any such location the time is in no row: it is unknown. The open episodes last until now. The episodes are those
-- that were known at `known_at`; former_episodes is read for a time in the past only.
CREATE OR REPLACE FUNCTION sla_observed(service_ids text[], policies uuid[], versions integer[], lows timestamptz[], highs timestamptz[],
                                        known_at timestamptz)
    RETURNS TABLE (part bigint, up tstzmultirange, degraded tstzmultirange, down tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH parts AS NOT MATERIALIZED (
    SELECT part, service_id, low, least(high, present()) AS high, quorum, quorum_locations
    FROM unnest(service_ids, policies, versions, lows, highs)
        WITH ORDINALITY AS parts (service_id, policy_id, version, low, high, part)
    JOIN sla_policy_versions USING (policy_id, version)
), seen AS NOT MATERIALIZED (
    SELECT part, location, greatest(starts_at, low) AS starts_at, least(ends_at, high) AS ends_at, state
    FROM parts
    JOIN episodes ON episodes.service_id = parts.service_id AND starts_at < high AND (ends_at > low OR ends_at IS NULL)
    WHERE known_at >= present()
    UNION ALL
    SELECT part, location, starts_at, ends_at, state
    FROM sla_known_episodes(service_ids, lows, highs, known_at) AS known
    WHERE known_at < present()
), merged AS MATERIALIZED (
    -- What any location saw.
    SELECT part, min(location) <> max(location)                                                      AS is_shared,
           range_agg(tstzrange(starts_at, ends_at))                                                  AS living,
           coalesce(range_agg(tstzrange(starts_at, ends_at)) FILTER (WHERE state = 'outage'), '{}')   AS failing,
           coalesce(range_agg(tstzrange(starts_at, ends_at)) FILTER (WHERE state = 'degraded'), '{}') AS slow
    FROM seen
    WHERE state <> 'unknown'
    GROUP BY part
), steps AS (
    -- Of several locations, each episode with data adds one location at its start and removes it at its end.
    SELECT part, at, sum(step) AS living, coalesce(sum(step) FILTER (WHERE state = 'outage'), 0) AS failing
    FROM (SELECT part FROM merged WHERE is_shared) AS shared
    JOIN seen USING (part)
    CROSS JOIN LATERAL (VALUES (starts_at, 1), (ends_at, -1)) AS edge (at, step)
    WHERE state <> 'unknown'
    GROUP BY part, at
), moments AS (
    SELECT part, at,
           lead(at) OVER history     AS until,
           sum(living) OVER history  AS living,
           sum(failing) OVER history AS failing
    FROM steps
    WINDOW history AS (PARTITION BY part ORDER BY at)
), agreed AS (
    SELECT part, range_agg(tstzrange(at, until)) AS down
    FROM moments
    JOIN parts USING (part)
    WHERE failing > 0
      AND CASE quorum
              WHEN 'one' THEN true
              WHEN 'all' THEN failing = living
              WHEN 'number' THEN failing >= least(quorum_locations, living)
              ELSE 2 * failing > living
          END
    GROUP BY part
)
SELECT part, living - failing - slow, failing + slow - decided.down, decided.down
FROM merged
FULL JOIN agreed USING (part)
CROSS JOIN LATERAL (
    -- A single location decides under every quorum.
    SELECT CASE WHEN is_shared THEN coalesce(agreed.down, '{}') ELSE failing END AS down
) AS decided
$$;

-- The corrections that count in each part as they were known at `known_at`, each with the spans in which it is the newest one.
CREATE OR REPLACE FUNCTION sla_newest_corrections(service_ids text[], lows timestamptz[], highs timestamptz[], known_at timestamptz)
    RETURNS TABLE (part bigint, correction_id uuid, effect text, spans tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH applied AS (
    SELECT part, sla_corrections.id, effect, created_at, range_agg(span * valid * tstzrange(low, high)) AS spans
    FROM unnest(service_ids, lows, highs) WITH ORDINALITY AS parts (service_id, low, high, part)
    JOIN service_memberships ON service_memberships.service_id = parts.service_id AND valid && tstzrange(low, high)
    JOIN sla_correction_spans ON span && tstzrange(low, high) AND span && valid
    JOIN sla_corrections ON sla_corrections.id = correction_id
    WHERE created_at <= known_at AND (withdrawn_at IS NULL OR withdrawn_at > known_at)
      AND sla_concerns(scope, subject, parts.service_id, group_name, tags)
    GROUP BY part, sla_corrections.id, effect, created_at
)
SELECT part, id, effect,
       spans - coalesce(range_agg(spans) OVER (PARTITION BY part ORDER BY created_at DESC, id DESC
                                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '{}')
FROM applied
$$;

-- What corrections set the time of each part to.
CREATE OR REPLACE FUNCTION sla_corrected(service_ids text[], lows timestamptz[], highs timestamptz[], known_at timestamptz)
    RETURNS TABLE (part bigint, up tstzmultirange, down tstzmultirange, excluded tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT part,
       coalesce(range_agg(spans) FILTER (WHERE effect = 'up'), '{}'),
       coalesce(range_agg(spans) FILTER (WHERE effect = 'down'), '{}'),
       coalesce(range_agg(spans) FILTER (WHERE effect = 'excluded'), '{}')
FROM sla_newest_corrections(service_ids, lows, highs, known_at)
GROUP BY part
$$;

-- The maintenance windows of each part that were announced in time, with their spans. An announcement counts for the time
-- that no earlier one of its window covers: an extension must itself be announced in time. Maintenance that was cancelled
-- does not count.
CREATE OR REPLACE FUNCTION sla_maintenance(service_ids text[], policies uuid[], versions integer[], lows timestamptz[], highs timestamptz[],
                                           known_at timestamptz)
    RETURNS TABLE (part bigint, window_id uuid, spans tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH announced AS (
    SELECT part, parts.service_id, low, high, announced_minutes, announced.window_id, announced.announced_at,
           tstzmultirange(span) - coalesce((
               SELECT range_agg(earlier.span)
               FROM maintenance_announcements AS earlier
               WHERE earlier.window_id = announced.window_id AND earlier.span && announced.span
                 AND (earlier.announced_at, earlier.span) < (announced.announced_at, announced.span)
                 AND parts.service_id = ANY (earlier.service_ids)
           ), '{}') AS news
    FROM unnest(service_ids, policies, versions, lows, highs)
        WITH ORDINALITY AS parts (service_id, policy_id, version, low, high, part)
    JOIN sla_policy_versions USING (policy_id, version)
    JOIN maintenance_announcements AS announced
      ON span && tstzrange(low, high) AND parts.service_id = ANY (announced.service_ids)
    WHERE maintenance = 'excluded' AND announced_at <= known_at
), in_time AS (
    SELECT part, service_id, low, high, window_id, range_agg(span) AS spans
    FROM announced
    CROSS JOIN LATERAL unnest(news) AS span
    WHERE announced_at <= lower(span) - announced_minutes * interval '1 minute'
    GROUP BY part, service_id, low, high, window_id
)
SELECT part, in_time.window_id,
       range_agg(spans * tstzmultirange(tstzrange(starts_at, ends_at)) * tstzmultirange(tstzrange(low, high)))
FROM in_time
JOIN maintenance_occurrences
  ON maintenance_occurrences.window_id = in_time.window_id AND in_time.service_id = ANY (service_ids)
 AND tstzrange(starts_at, ends_at) && tstzrange(low, high)
GROUP BY part, in_time.window_id
$$;

-- The maintenance of each part, of all windows together.
CREATE OR REPLACE FUNCTION sla_maintained(service_ids text[], policies uuid[], versions integer[], lows timestamptz[], highs timestamptz[],
                                          known_at timestamptz)
    RETURNS TABLE (part bigint, maintained tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT part, range_agg(spans)
FROM sla_maintenance(service_ids, policies, versions, lows, highs, known_at)
GROUP BY part
$$;

-- The maintenance of each part that is announced in time and takes place after now.
CREATE OR REPLACE FUNCTION sla_upcoming(service_ids text[], policies uuid[], versions integer[], lows timestamptz[], highs timestamptz[],
                                        known_at timestamptz)
    RETURNS TABLE (part bigint, maintained tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT part, maintained
FROM (SELECT array_agg(greatest(low, least(high, present(), known_at)) ORDER BY part) AS later
      FROM unnest(lows, highs) WITH ORDINALITY AS parts (low, high, part)) AS moments
CROSS JOIN LATERAL sla_maintained(service_ids, policies, versions, later, highs, known_at)
$$;

-- The length of spans in seconds, exact to the microsecond. Without spans 0.
CREATE OR REPLACE FUNCTION spans_seconds(spans tstzmultirange) RETURNS numeric
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN (SELECT coalesce(sum(extract(epoch FROM upper(span) - lower(span))), 0) FROM unnest(spans) AS span);

-- What the time of each part counts as, as it was known at `known_at`: nothing after that moment counts. The spans do not overlap
-- and together are the window from the first check of the service until its end, now or that moment: up, degraded, down,
-- unknown, maintained, excluded by a correction, and outside of the service hours. The order of the steps: quorum, corrections,
-- shortest outage, maintenance, service hours and window.
CREATE OR REPLACE FUNCTION sla_states(service_ids text[], policies uuid[], versions integer[], lows timestamptz[], highs timestamptz[],
                                      known_at timestamptz)
    RETURNS TABLE (part bigint, up tstzmultirange, degraded tstzmultirange, down tstzmultirange, unknown tstzmultirange,
                   maintained tstzmultirange, excluded tstzmultirange, outside tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH parts AS (
    SELECT part, service_id, policy_id, version, low AS part_low, high AS part_high,
           greatest(low, first_check)                              AS low,
           least(high, latest)                                     AS high,
           -- Outages are as long as they are beyond the bounds of the window, so the time around it is read too.
           greatest(low - shortest_outage_seconds * interval '1 second', first_check)  AS wide_low,
           least(high + shortest_outage_seconds * interval '1 second', latest)         AS wide_high,
           sla_policy_versions.unknown                             AS unknown_counts,
           shortest_outage_seconds * interval '1 second'           AS shortest_outage
    FROM unnest(service_ids, policies, versions, lows, highs)
        WITH ORDINALITY AS parts (service_id, policy_id, version, low, high, part)
    JOIN sla_policy_versions USING (policy_id, version)
    CROSS JOIN LATERAL (
        SELECT least(present(), known_at) AS latest,
               CASE
                   WHEN known_at < present() THEN sla_first_check(parts.service_id, known_at)
                   ELSE (SELECT min(starts_at) FROM episodes WHERE episodes.service_id = parts.service_id)
               END AS first_check
    ) AS history
    WHERE first_check < least(high, latest) AND low < latest
), listed AS MATERIALIZED (
    SELECT array_agg(service_id ORDER BY part) AS service_ids,
           array_agg(policy_id ORDER BY part)  AS policies,
           array_agg(version ORDER BY part)    AS versions,
           array_agg(wide_low ORDER BY part)   AS lows,
           array_agg(wide_high ORDER BY part)  AS highs,
           array_agg(part ORDER BY part)       AS numbers
    FROM parts
-- Materialized, because the planner expects one row, and would compute all parts again for each part.
), observed AS MATERIALIZED (
    SELECT numbers[seen.part] AS part, seen.up, seen.degraded, seen.down
    FROM listed
    CROSS JOIN LATERAL sla_observed(service_ids, policies, versions, lows, highs, known_at) AS seen
), corrected AS MATERIALIZED (
    SELECT numbers[found.part] AS part, found.up, found.down, found.excluded
    FROM listed
    CROSS JOIN LATERAL sla_corrected(service_ids, lows, highs, known_at) AS found
), planned AS MATERIALIZED (
    SELECT numbers[found.part] AS part, found.maintained
    FROM listed
    CROSS JOIN LATERAL sla_maintained(service_ids, policies, versions, lows, highs, known_at) AS found
), hours AS MATERIALIZED (
    -- Services with the same policy have the same hours.
    SELECT policy_id, version, part_low, part_high, sla_service_hours(policy_id, version, part_low, part_high) AS hours
    FROM (SELECT DISTINCT policy_id, version, part_low, part_high FROM parts) AS windows
), counted AS (
    SELECT part, low, high, shortest_outage, hours,
           coalesce(maintained, '{}')                                             AS maintained,
           coalesce(corrected.excluded, '{}')                                     AS excluded,
           coalesce(corrected.up, '{}')                                           AS set_up,
           coalesce(corrected.down, '{}')                                         AS set_down,
           coalesce(observed.degraded, '{}')                                      AS degraded,
           coalesce(observed.down, '{}')
               + CASE WHEN unknown_counts = 'down' THEN gaps ELSE '{}' END        AS down,
           coalesce(observed.up, '{}')
               + CASE WHEN unknown_counts = 'up' THEN gaps ELSE '{}' END          AS up
    FROM parts
    -- Full joins, since the planner expects few rows and would choose nested loops.
    FULL JOIN hours USING (policy_id, version, part_low, part_high)
    FULL JOIN observed USING (part)
    FULL JOIN corrected USING (part)
    FULL JOIN planned USING (part)
    CROSS JOIN LATERAL (
        SELECT tstzmultirange(tstzrange(wide_low, wide_high))
                   - coalesce(observed.up + observed.degraded + observed.down, '{}') AS gaps
    ) AS unobserved
), decided AS (
    SELECT part, tstzmultirange(tstzrange(low, high)) AS "window", hours, maintained, excluded - set_up - set_down AS excluded,
           up, degraded, set_up,
           corrected_down - short AS down,
           short
    FROM counted
    CROSS JOIN LATERAL (SELECT down - set_up - excluded + set_down AS corrected_down) AS outages
    CROSS JOIN LATERAL (
        SELECT CASE
                   WHEN shortest_outage = '0' THEN '{}'
                   ELSE coalesce((SELECT range_agg(span)
                                  FROM unnest(corrected_down) AS span
                                  WHERE upper(span) - lower(span) < shortest_outage), '{}')
               END AS short
    ) AS ignored
), clipped AS (
    SELECT part, "window",
           "window" * hours - maintained - excluded AS counts,
           "window" * hours * maintained            AS maintained,
           "window" * hours * excluded - maintained AS excluded,
           "window" - hours                         AS outside,
           down,
           (degraded - down - set_up - short)       AS degraded,
           (up + set_up + short - down)             AS up
    FROM decided
)
SELECT part,
       counts * (up - degraded),
       counts * degraded,
       counts * down,
       counts - up - degraded - down,
       maintained,
       excluded,
       outside
FROM clipped
$$;
