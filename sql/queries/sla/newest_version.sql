-- The policy of a scope and subject with the number of its newest version; no row without one.
SELECT id, max(version) AS version
FROM sla_policies
JOIN sla_policy_versions ON policy_id = id
WHERE (scope, subject) IS NOT DISTINCT FROM (%(scope)s::text, %(subject)s::text)
GROUP BY id
