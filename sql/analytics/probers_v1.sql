CREATE VIEW analytics.probers_v1 WITH (security_barrier) AS
SELECT locations.id                                        AS location,
       name,
       created_at                                          AS registered_at,
       coalesce(latest.services, 0)                        AS services,
       coalesce(latest.silent_services, 0)                 AS silent_services,
       latest.scheduled_at                                 AS last_scheduled_at,
       latest.finished_at                                  AS last_finished_at,
       extract(epoch FROM present() - latest.finished_at) AS silent_seconds
FROM locations
LEFT JOIN (
    SELECT location,
           count(*)                               AS services,
           count(*) FILTER (WHERE expired)        AS silent_services,
           max(scheduled_at)                      AS scheduled_at,
           max(finished_at)                       AS finished_at
    FROM latest_checks
    GROUP BY location
) AS latest ON latest.location = locations.id;

COMMENT ON VIEW analytics.probers_v1 IS
    'one row for each location that a prober has registered, as far as its checks in the database show its state';
COMMENT ON COLUMN analytics.probers_v1.location IS 'the key: PROBE_LOCATION of the prober; heartbeat: reports of jobs';
COMMENT ON COLUMN analytics.probers_v1.name IS 'the name of the location';
COMMENT ON COLUMN analytics.probers_v1.registered_at IS 'when the location was first registered';
COMMENT ON COLUMN analytics.probers_v1.services IS 'the number of existing services with a check from this location';
COMMENT ON COLUMN analytics.probers_v1.silent_services IS 'of those, the services whose latest check is too old to stand for the present';
COMMENT ON COLUMN analytics.probers_v1.last_scheduled_at IS 'the scheduled time of its latest check; NULL: none';
COMMENT ON COLUMN analytics.probers_v1.last_finished_at IS 'when its latest check ended; NULL: none';
COMMENT ON COLUMN analytics.probers_v1.silent_seconds IS 'seconds since its latest check ended; NULL: no check';
