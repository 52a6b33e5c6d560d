-- Response times of good checks by quarter of an hour (UTC), in logarithmic bins that can be added up over any window.
CREATE VIEW latency_15m AS
SELECT bucket, service_id COLLATE "C" AS service_id, location COLLATE "C" AS location, bin, checks
FROM bins_of_tier('15m');

COMMENT ON VIEW latency_15m IS 'one row for each service, location, quarter of an hour (UTC) and bin that has checks';
COMMENT ON COLUMN latency_15m.bin IS 'bin b holds the times above 1.04^(b-1) and up to 1.04^b milliseconds, bin -100 holds 0';
