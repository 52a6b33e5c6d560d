CREATE VIEW analytics.maintenance_v1 WITH (security_barrier) AS
SELECT window_id,
       service_id,
       occurrence.starts_at,
       occurrence.ends_at,
       extract(epoch FROM occurrence.ends_at - occurrence.starts_at)       AS seconds,
       title,
       public,
       announcement.announced_at,
       extract(epoch FROM occurrence.starts_at - announcement.announced_at) AS notice_seconds
FROM maintenance_occurrences AS occurrence
JOIN maintenance_windows ON maintenance_windows.id = window_id
CROSS JOIN unnest(service_ids) AS service_id
LEFT JOIN LATERAL (
    SELECT min(announced_at) AS announced_at
    FROM maintenance_announcements AS announced
    WHERE announced.window_id = occurrence.window_id AND announced.span @> occurrence.starts_at
      AND service_id = ANY (announced.service_ids)
) AS announcement ON true;

COMMENT ON VIEW analytics.maintenance_v1 IS
    'one row for each service and occurrence of maintenance: past ones as they took place, future ones as far as they are planned';
COMMENT ON COLUMN analytics.maintenance_v1.window_id IS 'the maintenance window; with service_id and starts_at the key';
COMMENT ON COLUMN analytics.maintenance_v1.service_id IS 'the service, which may have been deleted since';
COMMENT ON COLUMN analytics.maintenance_v1.starts_at IS 'when the maintenance starts';
COMMENT ON COLUMN analytics.maintenance_v1.ends_at IS 'when the maintenance ends';
COMMENT ON COLUMN analytics.maintenance_v1.seconds IS 'its length in seconds';
COMMENT ON COLUMN analytics.maintenance_v1.title IS 'the title of the window';
COMMENT ON COLUMN analytics.maintenance_v1.public IS 'whether public pages show the window';
COMMENT ON COLUMN analytics.maintenance_v1.announced_at IS 'when its start was first announced for this service; an extension may have been later';
COMMENT ON COLUMN analytics.maintenance_v1.notice_seconds IS
    'seconds from the announcement to the start; negative: it was announced after it had started';
