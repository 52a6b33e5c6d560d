-- What is going on now.
SELECT (SELECT count(*) FROM analytics.outages_v1 WHERE ended_at IS NULL)                                          AS "Outages",
       (SELECT count(*) FROM analytics.incidents_v1 WHERE resolved_at IS NULL)                                     AS "Incidents",
       (SELECT count(DISTINCT window_id) FROM analytics.maintenance_v1 WHERE starts_at <= now() AND ends_at > now()) AS "Maintenance"
