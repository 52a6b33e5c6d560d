-- The first service that has the tag of a policy and another one with a policy, while both policies are valid; no row if there is none.
SELECT service_id, own.subject AS tag, other.subject AS other
FROM sla_versions('infinity') AS own
JOIN service_memberships ON own.subject = ANY (tags) AND upper_inf(valid) AND valid && own.during
JOIN sla_versions('infinity') AS other
  ON other.subject = ANY (tags) AND other.policy_id <> own.policy_id AND other.during && valid * own.during
WHERE own.policy_id = %(id)s AND own.version = %(version)s
  AND own.scope = 'tag' AND other.scope = 'tag' AND NOT own.ended AND NOT other.ended
ORDER BY service_id, other.subject
LIMIT 1
