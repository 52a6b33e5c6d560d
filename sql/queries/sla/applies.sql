-- Whether an SLA policy applies to a service in a part of a window.
SELECT policies IS NOT NULL AS applies
FROM sla_window(%(service_id)s, %(low)s, %(high)s, coalesce(%(known_at)s::timestamptz, present()))
