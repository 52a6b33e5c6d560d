-- Seconds since the end of the last quarter of an hour that is in the aggregates.
SELECT extract(epoch FROM bench_present() - aggregates_watermark())::float8
