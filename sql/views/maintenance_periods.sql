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
    'one row a service and planned maintenance: the past as it was, the future as far as it is expanded; they may overlap';
