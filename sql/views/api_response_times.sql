CREATE VIEW api_response_times AS
SELECT hashtextextended(service_id || ' ' || location, extract(epoch FROM scheduled_at)::bigint) AS id,
       service_id,
       round(total_ms)::integer              AS response_time,
       checks.status_code,
       services.check_config ->> 'endpoint_url' AS endpoint,
       services.check_config ->> 'method'    AS method,
       scheduled_at                          AS "timestamp",
       location
FROM checks
LEFT JOIN services ON services.id = checks.service_id
WHERE success AND total_ms IS NOT NULL;

COMMENT ON VIEW api_response_times IS 'response times of successful checks, in milliseconds';
COMMENT ON COLUMN api_response_times.endpoint IS 'the URL as it is configured now; NULL if the service has been deleted';
