-- Response times of good checks by day of the reporting time zone, in logarithmic bins that can be added up over any window.
CREATE VIEW latency_daily AS
SELECT bucket, service_id COLLATE "C" AS service_id, location COLLATE "C" AS location, bin, checks
FROM bins_of_tier('daily');

COMMENT ON VIEW latency_daily IS 'one row for each service, location, day of the reporting time zone and bin that has checks';
COMMENT ON COLUMN latency_daily.bin IS 'bin b holds the times above 1.04^(b-1) and up to 1.04^b milliseconds, bin -100 holds 0';
