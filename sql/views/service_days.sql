-- One row for each service and local day that has checks; counts and seconds are summed over the locations.
CREATE VIEW service_days AS
SELECT service_id,
       (bucket AT TIME ZONE time_zone)::date AS day,
       bucket                                AS starts_at,
       count(*)                              AS locations,
       sum(checks)::bigint                   AS checks,
       sum(operational)::bigint              AS operational,
       sum(degraded)::bigint                 AS degraded,
       sum(failed)::bigint                   AS failed,
       max(worst)::text                      AS status,
       sum(covered_seconds)::bigint          AS covered_seconds,
       sum(degraded_seconds)::bigint         AS degraded_seconds,
       sum(down_seconds)::bigint             AS down_seconds,
       sum(good)::bigint                     AS good,
       sum(sum_ms)                           AS sum_ms,
       min(min_ms)                           AS min_ms,
       max(max_ms)                           AS max_ms
FROM checks_daily
CROSS JOIN installation
GROUP BY service_id, bucket, time_zone;

COMMENT ON VIEW service_days IS 'daily figures of each service; days belong to reporting_time_zone()';
COMMENT ON COLUMN service_days.locations IS 'the number of locations that checked the service; seconds are summed over them';
COMMENT ON COLUMN service_days.covered_seconds IS 'seconds that checks stand for; the rest of the day, for each location, is unknown';
COMMENT ON COLUMN service_days.down_seconds IS 'of those, the seconds that failed checks stand for';
COMMENT ON COLUMN service_days.good IS 'the number of successful checks, over which sum_ms, min_ms and max_ms are computed';
