-- The number of entries that match all filters that are not NULL.
SELECT count(*) AS total
FROM audit_log
WHERE (%(actor)s::text IS NULL OR lower(actor) = lower(%(actor)s) OR actor_id::text = lower(%(actor)s))
  AND (%(object_type)s::text IS NULL OR object_type = %(object_type)s)
  AND (%(object_id)s::text IS NULL OR object_id = %(object_id)s)
  AND (%(action)s::text IS NULL OR action = %(action)s)
  AND (%(start)s::timestamptz IS NULL OR occurred_at >= %(start)s)
  AND (%(end)s::timestamptz IS NULL OR occurred_at < %(end)s)
