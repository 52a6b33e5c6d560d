-- Which version of which SLA policy applies to a service, and when. Times are spans: [from, until).

-- Whether a policy or correction is for a service that has this group and these tags.
CREATE OR REPLACE FUNCTION sla_concerns(scope text, subject text, service_id text, group_name text, tags text[]) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE scope
               WHEN 'service' THEN subject = service_id
               WHEN 'tag' THEN subject = ANY (tags)
               WHEN 'group' THEN subject = group_name
               ELSE true
           END;

-- The versions of all policies as they were known at `known_at`, each with the span in which it applies. On a day the
-- version with the highest number that is valid by then applies.
CREATE OR REPLACE FUNCTION sla_versions(known_at timestamptz)
    RETURNS TABLE (policy_id uuid, version integer, scope text, subject text, ended boolean, during tstzrange)
    LANGUAGE sql STABLE PARALLEL SAFE ROWS 100 AS
$$
SELECT policy_id, version, scope, subject, ended, tstzrange(starts_at, superseded_at)
FROM (
    SELECT policy_id, version, scope, subject, ended, starts_at,
           min(starts_at) OVER (PARTITION BY policy_id ORDER BY version ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS superseded_at
    FROM sla_policy_versions
    JOIN sla_policies ON sla_policies.id = policy_id
    CROSS JOIN LATERAL (SELECT local_day_start(valid_from, time_zone) AS starts_at) AS validity
    WHERE recorded_at <= known_at
) AS numbered
WHERE superseded_at IS NULL OR starts_at < superseded_at
$$;

-- The policy versions that apply to services. A policy of the service comes before those of its tags, of its group and of
-- everything; of two tags that both have a policy, the one that comes first in the alphabet. Saving refuses such a pair.
CREATE OR REPLACE FUNCTION sla_applied(service_ids text[], known_at timestamptz)
    RETURNS TABLE (service_id text, policy_id uuid, version integer, during tstzmultirange)
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
WITH candidates AS (
    SELECT service_memberships.service_id,
           versions.policy_id,
           versions.version,
           array_position('{service,tag,group,everything}', scope) AS rank,
           versions.subject,
           range_agg(versions.during * valid)                      AS during
    FROM service_memberships
    JOIN sla_versions(known_at) AS versions
      ON versions.during && valid
     AND sla_concerns(scope, versions.subject, service_memberships.service_id, group_name, tags)
    WHERE service_memberships.service_id = ANY (service_ids) AND NOT ended
    GROUP BY service_memberships.service_id, policy_id, version, rank, versions.subject
), preferred AS (
    SELECT service_id, policy_id, version,
           during - coalesce(range_agg(during) OVER (PARTITION BY service_id ORDER BY rank, subject COLLATE "C", version DESC
                                                     ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '{}') AS during
    FROM candidates
)
SELECT service_id, policy_id, version, during
FROM preferred
WHERE NOT isempty(during)
$$;

-- The moment of a local time of day. 00:00 and 24:00 are the bounds of the local day. A time that a clock change skips is
-- read with the offset before it; of a time that comes twice, the first counts for a start and the second for an end.
CREATE OR REPLACE FUNCTION local_moment(day date, at time, zone text, is_end boolean) RETURNS timestamptz
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS
$$
DECLARE
    moment  CONSTANT timestamptz := (day + at) AT TIME ZONE zone;
    before  CONSTANT timestamptz := moment - interval '1 day';
    earlier CONSTANT timestamptz := (day + at - (before AT TIME ZONE zone - before AT TIME ZONE 'UTC')) AT TIME ZONE 'UTC';
BEGIN
    IF at = time '00:00' THEN
        RETURN local_day_start(day, zone);
    ELSIF at = time '24:00' THEN
        RETURN local_day_start(day + 1, zone);
    ELSIF NOT is_end AND earlier < moment AND earlier AT TIME ZONE zone = day + at THEN
        RETURN earlier;
    END IF;
    RETURN moment;
END
$$;

-- The service hours of a policy version in a window: the weekly intervals of all local days but holidays; the whole window
-- if the version has none.
CREATE OR REPLACE FUNCTION sla_service_hours(policy uuid, numbered integer, low timestamptz, high timestamptz) RETURNS tstzmultirange
    LANGUAGE sql STABLE PARALLEL SAFE AS
$$
SELECT CASE
           WHEN service_hours IS NULL AND holiday_calendar IS NULL THEN tstzmultirange(tstzrange(low, high))
           ELSE coalesce((
               SELECT range_agg(tstzrange(starts_at, ends_at))
               FROM generate_series(local_date(low, time_zone)::timestamp, local_date(high, time_zone)::timestamp, '1 day') AS midnight
               CROSS JOIN jsonb_to_recordset(coalesce(service_hours, '[{"days": [1, 2, 3, 4, 5, 6, 7], "from": "00:00", "until": "24:00"}]'))
                   AS hours (days integer[], "from" time, until time)
               CROSS JOIN LATERAL (
                   SELECT local_moment(midnight::date, hours."from", time_zone, false) AS starts_at,
                          local_moment(midnight::date, hours.until, time_zone, true)   AS ends_at
               ) AS bounds
               WHERE extract(isodow FROM midnight)::integer = ANY (hours.days)
                 AND starts_at < ends_at
                 AND NOT EXISTS (SELECT FROM holidays WHERE calendar = holiday_calendar AND day = midnight::date)
           ), '{}') * tstzmultirange(tstzrange(low, high))
       END
FROM sla_policy_versions
WHERE policy_id = policy AND version = numbered
$$;
