-- Figures of checks by hour (UTC); seconds are the time that checks cover.
CREATE VIEW checks_hourly AS
SELECT bucket,
       service_id COLLATE "C"           AS service_id,
       location COLLATE "C"             AS location,
       checks,
       checks - degraded - failed       AS operational,
       degraded,
       failed,
       CASE
           WHEN failed > 0 THEN 'mo'
           WHEN degraded > 0 THEN 'po'
           ELSE 'o'
       END::severity                    AS worst,
       covered_seconds,
       degraded_seconds,
       down_seconds,
       good,
       sum_ms,
       min_ms,
       max_ms
FROM figures_of_tier('hourly');

COMMENT ON VIEW checks_hourly IS 'one row for each service, location and hour (UTC): counts, seconds and response times of its checks';
COMMENT ON COLUMN checks_hourly.covered_seconds IS 'seconds that checks stand for; the rest of the bucket is unknown';
COMMENT ON COLUMN checks_hourly.good IS 'successful checks, the ones that sum_ms, min_ms and max_ms are taken over';
