-- For each service the state of each day of the period, and its outages that count. The state of a day is the worst one
-- that counts on it. Of the outages the `most` longest ones are returned, each with the corrections that overlap it or
-- adjoin it. An outage that has not ended has no end.
WITH parts AS (
    SELECT row_number() OVER (ORDER BY service_id, low) AS part, service_id, policy_id, version, low, high, time_zone
    FROM sla_parts(%(service_ids)s::text[], %(first_day)s::date, %(last_day)s::date, %(known_at)s::timestamptz)
    JOIN sla_policy_versions USING (policy_id, version)
), states AS MATERIALIZED (
    SELECT service_id, low, high, time_zone, states.*
    FROM (
        SELECT array_agg(service_id ORDER BY part) AS service_ids, array_agg(policy_id ORDER BY part) AS policies,
               array_agg(version ORDER BY part) AS versions, array_agg(low ORDER BY part) AS lows, array_agg(high ORDER BY part) AS highs
        FROM parts
    ) AS listed
    CROSS JOIN LATERAL sla_states(listed.service_ids, policies, versions, lows, highs, %(known_at)s) AS states
    JOIN parts USING (part)
), calendar AS MATERIALIZED (
    SELECT time_zone, day::date AS day,
           tstzrange(local_day_start(day::date, time_zone), local_day_start(day::date + 1, time_zone)) AS span
    FROM (SELECT DISTINCT time_zone FROM parts) AS zones
    CROSS JOIN generate_series(%(first_day)s::timestamp, %(last_day)s::timestamp, '1 day') AS day
), days AS (
    SELECT service_id, day,
           max(CASE
                   WHEN down && span THEN 7
                   WHEN degraded && span THEN 6
                   WHEN up && span THEN 5
                   WHEN maintained && span THEN 4
                   WHEN excluded && span THEN 3
                   WHEN unknown && span THEN 2
                   WHEN outside && span THEN 1
                   ELSE 0
               END)                                                                                   AS state,
           sum(CASE WHEN down && span THEN spans_seconds(down * tstzmultirange(span)) ELSE 0 END)     AS down_seconds
    FROM states
    JOIN calendar USING (time_zone)
    WHERE span && tstzrange(low, high)
    GROUP BY service_id, day
), strips AS (
    SELECT service_id,
           array_agg(('{none,outside,unknown,excluded,maintenance,up,degraded,down}'::text[])[coalesce(state, 0) + 1] ORDER BY day)
                                                                            AS states,
           array_agg(coalesce(down_seconds, 0)::float8 ORDER BY day)        AS down_seconds
    FROM (SELECT DISTINCT service_id FROM parts) AS services
    CROSS JOIN LATERAL (
        SELECT day::date AS day FROM generate_series(%(first_day)s::timestamp, %(last_day)s::timestamp, '1 day') AS day
    ) AS period
    LEFT JOIN days USING (service_id, day)
    GROUP BY service_id
), corrected AS MATERIALIZED (
    SELECT service_id, sla_corrections.id, span
    FROM sla_corrections
    JOIN sla_correction_spans ON correction_id = sla_corrections.id
    JOIN service_memberships ON valid && span
    WHERE service_id = ANY (%(service_ids)s) AND sla_concerns(scope, subject, service_id, group_name, tags)
      AND created_at <= %(known_at)s AND (withdrawn_at IS NULL OR withdrawn_at > %(known_at)s)
), outages AS (
    SELECT service_id, span, extract(epoch FROM upper(span) - lower(span))::float8 AS seconds,
           row_number() OVER (PARTITION BY service_id ORDER BY upper(span) - lower(span) DESC, span) AS rank
    FROM (SELECT service_id, range_agg(down) AS down FROM states GROUP BY service_id) AS merged  -- parts that meet share outages
    CROSS JOIN LATERAL unnest(down) AS span
), listed_outages AS (
    SELECT service_id,
           jsonb_agg(jsonb_build_object(
               'startsAt', lower(span),
               'endsAt', CASE WHEN upper(span) < present() THEN upper(span) END,
               'seconds', seconds,
               'corrections', ARRAY(SELECT DISTINCT id
                                    FROM corrected
                                    WHERE corrected.service_id = outages.service_id
                                      AND (corrected.span && outages.span OR corrected.span -|- outages.span)
                                    ORDER BY id)
           ) ORDER BY span) AS outages
    FROM outages
    WHERE rank <= %(most)s
    GROUP BY service_id
)
SELECT service_id, states, down_seconds, coalesce(outages, '[]') AS outages
FROM strips
LEFT JOIN listed_outages USING (service_id)
