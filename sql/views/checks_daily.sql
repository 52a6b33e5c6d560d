-- Figures of checks by day of the reporting time zone; seconds are the time that checks cover.
CREATE VIEW checks_daily AS
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
FROM figures_of_tier('daily');

COMMENT ON VIEW checks_daily IS 'one row for each service, location and day of the reporting time zone: counts, seconds and response times of its checks';
COMMENT ON COLUMN checks_daily.covered_seconds IS 'seconds that checks stand for; the rest of the bucket is unknown';
COMMENT ON COLUMN checks_daily.good IS 'successful checks, the ones that sum_ms, min_ms and max_ms are taken over';
