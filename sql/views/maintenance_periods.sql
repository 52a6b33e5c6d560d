-- When each service was, is, or will be under maintenance.
CREATE VIEW maintenance_periods AS
SELECT service_id,
       maintenance_occurrences.starts_at,
       maintenance_occurrences.ends_at,
       window_id,
       title,
       public
FROM maintenance_occurrences
JOIN maintenance_windows ON maintenance_windows.id = window_id
CROSS JOIN unnest(service_ids) AS service_id;

COMMENT ON VIEW maintenance_periods IS
    'one row for each service and occurrence of maintenance: past ones as they were, future ones as far as they are expanded; they may overlap';
