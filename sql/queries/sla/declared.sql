-- The policies that one file declares.
SELECT id, scope, subject
FROM sla_policies
WHERE declared_in = %(file)s
ORDER BY scope, subject
