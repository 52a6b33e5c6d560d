-- Which of the services that an installation starts with are not as the variables of this start would make them. A file's services
-- are as the file declares them, and those of the demo as it creates them.
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
