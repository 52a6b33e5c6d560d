-- One view for each tier of the rollups; see TIERS in sql/schema.py.
-- Response times of good checks by {bucket}, in logarithmic bins that can be added up over any window.
CREATE VIEW latency_{tier} AS
SELECT bucket, service_id COLLATE "C" AS service_id, location COLLATE "C" AS location, bin, checks
FROM bins_of_tier('{tier}');

COMMENT ON VIEW latency_{tier} IS 'one row for each service, location, {bucket} and bin that has checks';
COMMENT ON COLUMN latency_{tier}.bin IS 'bin b holds the times above 1.04^(b-1) and up to 1.04^b milliseconds, bin -100 holds 0';
