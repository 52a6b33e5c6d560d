-- Stores the occurrences of a window from now on; of a recurring one up to `until`.
WITH planned AS (
    UPDATE maintenance_windows SET expanded_until = %(until)s WHERE id = %(id)s
)
SELECT plan_maintenance(%(id)s, %(starts)s, %(ends)s)
