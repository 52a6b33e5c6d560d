CREATE VIEW analytics.checks_v1 AS
SELECT service_id,
       location,
       scheduled_at,
       finished_at,
       interval_seconds AS covered_seconds,
       CASE severity WHEN 'mo' THEN 'outage' WHEN 'po' THEN 'degraded' ELSE 'operational' END AS state,
       success,
       status_code,
       total_ms,
       dns_ms,
       connect_ms,
       tls_ms,
       first_byte_ms,
       attempts,
       error_type
FROM checks;

COMMENT ON VIEW analytics.checks_v1 IS
    'one row for each check, while raw checks are kept (CHECK_RETENTION); without error messages, which may quote private text';
COMMENT ON COLUMN analytics.checks_v1.service_id IS 'the service, which may have been deleted since';
COMMENT ON COLUMN analytics.checks_v1.location IS 'the location of the prober; heartbeat: the report of a job';
COMMENT ON COLUMN analytics.checks_v1.scheduled_at IS 'when the check was due; with service_id and location the key of the check';
COMMENT ON COLUMN analytics.checks_v1.finished_at IS 'the end of the quarter of a second in which the check ended';
COMMENT ON COLUMN analytics.checks_v1.covered_seconds IS 'seconds that the check stands for: until the next one was due';
COMMENT ON COLUMN analytics.checks_v1.state IS 'operational; degraded: good but slower than degraded_after_ms; outage: failed';
COMMENT ON COLUMN analytics.checks_v1.success IS 'whether the check succeeded, degraded ones included';
COMMENT ON COLUMN analytics.checks_v1.status_code IS 'the HTTP status code of the response; NULL: no response, or no HTTP';
COMMENT ON COLUMN analytics.checks_v1.total_ms IS 'milliseconds of the deciding attempt, to the nearest 1/16; NULL: not measured';
COMMENT ON COLUMN analytics.checks_v1.dns_ms IS 'milliseconds of name resolution; NULL: the phase did not occur';
COMMENT ON COLUMN analytics.checks_v1.connect_ms IS 'milliseconds of connecting; NULL: the phase did not occur';
COMMENT ON COLUMN analytics.checks_v1.tls_ms IS 'milliseconds of the TLS handshake; NULL: the phase did not occur';
COMMENT ON COLUMN analytics.checks_v1.first_byte_ms IS 'milliseconds from the end of the request to the first byte of the response; NULL: none';
COMMENT ON COLUMN analytics.checks_v1.attempts IS 'attempts made: 1 and the retries; the last one decides';
COMMENT ON COLUMN analytics.checks_v1.error_type IS 'the kind of error, for example timeout or http_error; NULL: none';
