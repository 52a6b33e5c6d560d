-- One page of the audit log, newest first. A filter that is NULL matches everything. `object_name` is the name of a user or
-- of an SLA policy, or the reason of a correction.
SELECT id, occurred_at, actor_kind, actor_id, actor, host(address) AS address, request_id, action, object_type, object_id,
       before, after,
       coalesce((SELECT username FROM users WHERE id = CASE object_type WHEN 'user' THEN object_id::uuid END),
                CASE action WHEN 'login' THEN actor END,
                (SELECT reason FROM sla_corrections WHERE id = CASE object_type WHEN 'correction' THEN object_id::uuid END),
                (SELECT name
                 FROM sla_policy_versions
                 WHERE policy_id = CASE object_type WHEN 'sla-policy' THEN object_id::uuid END
                 ORDER BY version DESC
                 LIMIT 1)) AS object_name
FROM audit_log
WHERE (%(actor)s::text IS NULL OR lower(actor) = lower(%(actor)s) OR actor_id::text = lower(%(actor)s))
  AND (%(object_type)s::text IS NULL OR object_type = %(object_type)s)
  AND (%(object_id)s::text IS NULL OR object_id = %(object_id)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(start)s::timestamptz IS NULL OR occurred_at >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR occurred_at < %(end)s)
ORDER BY id DESC
LIMIT %(limit)s OFFSET %(offset)s
