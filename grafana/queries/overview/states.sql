-- The number of services that are not paused, by their present state.
SELECT count(*) FILTER (WHERE state = 'operational')            AS "Operational",
       count(*) FILTER (WHERE state = 'degraded')               AS "Degraded",
       count(*) FILTER (WHERE state = 'outage')                 AS "Outage",
       count(*) FILTER (WHERE coalesce(state, 'unknown') = 'unknown') AS "Unknown",
       count(*) FILTER (WHERE state = 'maintenance')            AS "Maintenance"
FROM analytics.services_v1
WHERE enabled
