-- A correction that cannot be extended is due again later.
UPDATE sla_corrections SET due_at = %(due_at)s WHERE id = %(id)s
