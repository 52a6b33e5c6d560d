-- The spans of a service in a window in order, at most `most`, as they were known at `known_at` (NULL: now). `reasons` is an array of the
-- causes that explain the state in the span, the earliest first, at most 20. `details` includes the messages of errors and the
-- texts and authors of corrections, `internal` the maintenance windows that are not public.
WITH spans AS MATERIALIZED (
    SELECT row_number() OVER (ORDER BY span) AS number, state, span
    FROM sla_timeline(%(service_id)s, %(low)s, %(high)s, coalesce(%(known_at)s::timestamptz, present()))
    ORDER BY number
    LIMIT %(most)s
), causes AS MATERIALIZED (
    SELECT row_number() OVER () AS cause, causes.*
    FROM sla_causes(%(service_id)s, %(low)s, %(high)s, coalesce(%(known_at)s::timestamptz, present())) AS causes
), pairs AS (
    -- Joined by the UTC days of both, because a join by overlap would compare each span with each cause.
    SELECT DISTINCT number, cause, kind, subject, message, spans.span * causes.span AS span
    FROM spans
    CROSS JOIN LATERAL generate_series(date_trunc('day', lower(spans.span), 'UTC'), upper(spans.span), '1 day') AS day
    JOIN (causes CROSS JOIN LATERAL generate_series(date_trunc('day', greatest(lower(causes.span), %(low)s), 'UTC'),
                                                    least(upper(causes.span), %(high)s, present()), '1 day') AS day_of_cause)
      ON day_of_cause = day AND causes.state = spans.state AND causes.span && spans.span
), grouped AS (
    SELECT number, kind, subject, min(lower(span)) AS starts_at, max(upper(span)) AS ends_at,
           (array_agg(message ORDER BY lower(span)))[1] AS message
    FROM pairs
    GROUP BY number, kind, subject
), described AS (
    SELECT number, grouped.starts_at, kind, grouped.subject,
           jsonb_build_object('kind', kind, 'from', iso_time(grouped.starts_at), 'to', iso_time(grouped.ends_at)) || CASE kind
               WHEN 'error' THEN jsonb_build_object('error', grouped.subject, 'message', CASE WHEN %(details)s THEN message END)
               WHEN 'correction' THEN jsonb_build_object('id', corrections.id, 'category', category, 'effect', effect,
                                                         'reason', CASE WHEN %(details)s THEN reason END,
                                                         'author', CASE WHEN %(details)s THEN corrections.author END)
               ELSE jsonb_build_object('id', windows.id, 'title', title)
           END AS reason,
           row_number() OVER (PARTITION BY number ORDER BY grouped.starts_at, kind, grouped.subject) AS position
    FROM grouped
    LEFT JOIN sla_corrections AS corrections ON corrections.id = CASE kind WHEN 'correction' THEN grouped.subject END::uuid
    LEFT JOIN maintenance_windows AS windows ON windows.id = CASE kind WHEN 'maintenance' THEN grouped.subject END::uuid
    WHERE kind <> 'maintenance' OR public OR %(internal)s
)
SELECT state, lower(span) AS starts_at, upper(span) AS ends_at, coalesce(reasons, '[]') AS reasons
FROM spans
LEFT JOIN (SELECT number, jsonb_agg(reason ORDER BY position) AS reasons FROM described WHERE position <= 20 GROUP BY number) AS explained
    USING (number)
ORDER BY number
