CREATE VIEW analytics.corrections_v1 WITH (security_barrier) AS
SELECT sla_corrections.id AS correction_id,
       scope,
       subject,
       effect,
       category,
       reason,
       lower(span)        AS starts_at,
       upper(span)        AS ends_at,
       extract(epoch FROM upper(span) - lower(span)) AS seconds,
       rrule,
       time_zone,
       author,
       created_at,
       withdrawn_at,
       withdrawn_by
FROM sla_corrections
LEFT JOIN sla_correction_spans ON correction_id = sla_corrections.id;

COMMENT ON VIEW analytics.corrections_v1 IS
    'one row for each occurrence of a correction of what time counts as, withdrawn ones too; of an endless rule those that have begun';
COMMENT ON COLUMN analytics.corrections_v1.correction_id IS 'the correction; with starts_at the key';
COMMENT ON COLUMN analytics.corrections_v1.scope IS 'service, tag, group or everything';
COMMENT ON COLUMN analytics.corrections_v1.subject IS 'the id of a service, a tag, or the name of a group; NULL: everything';
COMMENT ON COLUMN analytics.corrections_v1.effect IS 'what the time counts as: up, down or excluded';
COMMENT ON COLUMN analytics.corrections_v1.category IS 'maintenance, deployment, outside_hours, false_positive or other';
COMMENT ON COLUMN analytics.corrections_v1.reason IS 'the reason that its author gave';
COMMENT ON COLUMN analytics.corrections_v1.starts_at IS 'the start of the occurrence; NULL: none has begun';
COMMENT ON COLUMN analytics.corrections_v1.ends_at IS 'the end of the occurrence; NULL: none has begun';
COMMENT ON COLUMN analytics.corrections_v1.seconds IS 'the length of the occurrence in seconds; NULL: none has begun';
COMMENT ON COLUMN analytics.corrections_v1.rrule IS 'the rule of a recurring correction (RFC 5545); NULL: it occurs once';
COMMENT ON COLUMN analytics.corrections_v1.time_zone IS 'the time zone of the rule';
COMMENT ON COLUMN analytics.corrections_v1.author IS 'the user who made it, by the name at that time';
COMMENT ON COLUMN analytics.corrections_v1.created_at IS 'when it was made; of corrections that overlap the newest counts';
COMMENT ON COLUMN analytics.corrections_v1.withdrawn_at IS 'when it was withdrawn; NULL: it counts';
COMMENT ON COLUMN analytics.corrections_v1.withdrawn_by IS 'the user who withdrew it, by the name at that time; NULL: it counts';
