-- The corrections of the period that concern services of the report, as they were known, newest first: the first and the
-- last time of their occurrences in the period, and how many these are. Without `internal` they have no author, reason
-- and tag.
SELECT sla_corrections.id,
       effect,
       category,
       scope,
       CASE WHEN %(internal)s OR scope <> 'tag' THEN subject END AS subject,
       CASE WHEN %(internal)s THEN reason END                    AS reason,
       CASE WHEN %(internal)s THEN author END                    AS author,
       created_at,
       min(lower(span))                                          AS starts_at,
       max(upper(span))                                          AS ends_at,
       count(DISTINCT span)                                      AS occurrences,
       array_agg(DISTINCT service_id)                            AS services
FROM sla_corrections
JOIN sla_correction_spans ON correction_id = sla_corrections.id
JOIN service_memberships ON valid && span
WHERE service_id = ANY (%(service_ids)s::text[]) AND sla_concerns(scope, subject, service_id, group_name, tags)
  AND span && tstzrange(%(starts_at)s, %(ends_at)s)
  AND created_at <= %(known_at)s AND (withdrawn_at IS NULL OR withdrawn_at > %(known_at)s)
GROUP BY sla_corrections.id
ORDER BY created_at DESC, sla_corrections.id
LIMIT %(limit)s
