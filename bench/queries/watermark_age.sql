-- Seconds since the watermark: all checks before it are aggregated.
SELECT extract(epoch FROM present() - rollup_watermark())::float8
