-- One view for each tier of the rollups; see TIERS in sql/schema.py.
-- Figures of checks by {bucket}; seconds are the time that checks cover.
CREATE VIEW checks_{tier} AS
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
FROM figures_of_tier('{tier}');

COMMENT ON VIEW checks_{tier} IS 'one row for each service, location and {bucket}: counts, seconds and response times of its checks';
COMMENT ON COLUMN checks_{tier}.covered_seconds IS 'seconds that checks stand for; the rest of the bucket is unknown';
COMMENT ON COLUMN checks_{tier}.good IS 'the number of successful checks, over which sum_ms, min_ms and max_ms are computed';
