-- The first services of the installation that differ from the environment variables of this start, and in which fields.
-- Services of a file or of the demo are left out.
SELECT id,
       services.endpoint_url <> first.endpoint_url         AS url,
       services.interval_seconds <> first.interval_seconds AS interval,
       services.timeout_ms <> first.timeout_ms             AS timeout
FROM jsonb_to_recordset(%(services)s) AS first (id text, endpoint_url text, interval_seconds integer, timeout_ms integer)
JOIN services USING (id)
WHERE declared_in IS NULL AND NOT demo
  AND (services.endpoint_url, services.interval_seconds, services.timeout_ms)
      IS DISTINCT FROM (first.endpoint_url, first.interval_seconds, first.timeout_ms)
ORDER BY id
