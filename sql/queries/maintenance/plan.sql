-- When a window takes place from now on; a recurring one as far as `until`.
WITH planned AS (
    UPDATE maintenance_windows SET expanded_until = %(until)s WHERE id = %(id)s
)
SELECT plan_maintenance(%(id)s, %(starts)s, %(ends)s)
