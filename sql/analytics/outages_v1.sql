CREATE VIEW analytics.outages_v1 AS
SELECT id                                                              AS outage_id,
       service_id,
       started_at,
       ended_at,
       extract(epoch FROM coalesce(ended_at, present()) - started_at) AS seconds,
       error_type
FROM outages;

COMMENT ON VIEW analytics.outages_v1 IS
    'one row for each outage of a service, by the majority of its locations, before SLA policies and corrections; kept for good';
COMMENT ON COLUMN analytics.outages_v1.outage_id IS 'the key; it stays when late checks move the outage';
COMMENT ON COLUMN analytics.outages_v1.service_id IS 'the service, which may have been deleted since';
COMMENT ON COLUMN analytics.outages_v1.started_at IS 'the scheduled time of the first failed check';
COMMENT ON COLUMN analytics.outages_v1.ended_at IS 'the scheduled time of the next good check; NULL: it has not ended';
COMMENT ON COLUMN analytics.outages_v1.seconds IS 'its length in seconds, until now if it has not ended';
COMMENT ON COLUMN analytics.outages_v1.error_type IS 'the kind of error that it began with, for example timeout';
