-- Figures of checks by quarter of an hour (UTC); seconds are the time that checks cover.
CREATE VIEW checks_15m AS
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
FROM figures_of_tier('15m');

COMMENT ON VIEW checks_15m IS 'one row for each service, location and quarter of an hour (UTC): counts, seconds and response times of its checks';
COMMENT ON COLUMN checks_15m.covered_seconds IS 'seconds that checks stand for; the rest of the bucket is unknown';
COMMENT ON COLUMN checks_15m.good IS 'successful checks, the ones that sum_ms, min_ms and max_ms are taken over';
