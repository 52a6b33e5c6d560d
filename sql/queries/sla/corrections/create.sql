-- Creates a correction with its occurrences, and returns it.
WITH created AS (
    INSERT INTO sla_corrections (scope, subject, effect, category, reason, starts_at, ends_at, rrule, time_zone, author, created_by,
                                 created_at, due_at)
    VALUES (%(scope)s, %(subject)s, %(effect)s, %(category)s, %(reason)s, %(starts_at)s, %(ends_at)s, %(rrule)s, %(time_zone)s,
            %(author)s, %(created_by)s, %(created_at)s, %(due_at)s)
    RETURNING *
), stored AS (
    INSERT INTO sla_correction_spans (correction_id, span)
    SELECT id, tstzrange(plan.starts_at, plan.ends_at)
    FROM created
    CROSS JOIN unnest(%(starts)s::timestamptz[], %(ends)s::timestamptz[]) AS plan (starts_at, ends_at)
)
SELECT id, scope, subject, effect, category, reason, starts_at, ends_at, rrule, time_zone, author, created_at, withdrawn_at,
       withdrawn_by
FROM created
