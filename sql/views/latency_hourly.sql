-- Response times of good checks by hour (UTC), in logarithmic bins that can be added up over any window.
CREATE VIEW latency_hourly AS
SELECT bucket, service_id COLLATE "C" AS service_id, location COLLATE "C" AS location, bin, checks
FROM bins_of_tier('hourly');

COMMENT ON VIEW latency_hourly IS 'one row for each service, location, hour (UTC) and bin that has checks';
COMMENT ON COLUMN latency_hourly.bin IS 'bin b holds the times above 1.04^(b-1) and up to 1.04^b milliseconds, bin -100 holds 0';
