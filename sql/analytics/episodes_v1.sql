CREATE VIEW analytics.episodes_v1 AS
SELECT service_id,
       location,
       starts_at,
       ends_at,
       extract(epoch FROM coalesce(ends_at, present()) - starts_at) AS seconds,
       state::text                                                  AS state,
       error_type,
       estimated
FROM episodes;

COMMENT ON VIEW analytics.episodes_v1 IS
    'one row for each span in which one location saw one state of a service: contiguous from its first check on, kept for good';
COMMENT ON COLUMN analytics.episodes_v1.service_id IS 'the service, which may have been deleted since';
COMMENT ON COLUMN analytics.episodes_v1.location IS 'the location of the prober; heartbeat: the report of a job';
COMMENT ON COLUMN analytics.episodes_v1.starts_at IS 'the start; with service_id and location the key';
COMMENT ON COLUMN analytics.episodes_v1.ends_at IS 'the end, which is the start of the next one; NULL: it has not ended';
COMMENT ON COLUMN analytics.episodes_v1.seconds IS 'its length in seconds, until now if it has not ended';
COMMENT ON COLUMN analytics.episodes_v1.state IS 'operational, degraded, outage, or unknown: no check covers this time';
COMMENT ON COLUMN analytics.episodes_v1.error_type IS 'the kind of error of its first check; NULL: none';
COMMENT ON COLUMN analytics.episodes_v1.estimated IS 'true if it was made from rollups or from an earlier state, because the raw checks were deleted';
