-- The part of the period to which each policy version applies, for each service, in the order of time.
SELECT service_id,
       policy_id,
       version,
       low                                     AS starts_at,
       high                                    AS ends_at,
       target::float8                          AS target,
       coalesce(up_seconds, 0)::float8         AS up,
       coalesce(degraded_seconds, 0)::float8   AS degraded,
       coalesce(down_seconds, 0)::float8       AS down,
       coalesce(unknown_seconds, 0)::float8    AS unknown,
       coalesce(maintained_seconds, 0)::float8 AS maintenance,
       coalesce(excluded_seconds, 0)::float8   AS excluded,
       coalesce(outside_seconds, 0)::float8    AS outside_hours,
       coalesce(budget_seconds, 0)::float8     AS budget,
       coalesce(spent_seconds, 0)::float8      AS spent
FROM sla_figures(%(service_ids)s::text[], %(first_day)s::date, %(last_day)s::date, %(known_at)s::timestamptz)
ORDER BY service_id, low
