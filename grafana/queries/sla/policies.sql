-- The policy versions that apply now, in the order of their precedence.
SELECT scope AS "Scope", subject AS "For", name AS "Policy", version AS "Version", target AS "Target", period AS "Period", time_zone AS "Zone",
       maintenance AS "Maintenance", unknown AS "Unknown time", quorum AS "Quorum", applies_from AS "Since", author AS "Author"
FROM analytics.policies_v1
WHERE applies_from <= now() AND coalesce(applies_until, 'infinity') > now() AND NOT ended
ORDER BY array_position('{service,tag,group,everything}', scope), subject
