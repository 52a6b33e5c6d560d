-- Seconds since the moment up to which all checks are in the aggregates.
SELECT extract(epoch FROM bench_present() - {watermark}())::float8
