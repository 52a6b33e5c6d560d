CREATE VIEW watch_server_logs AS
SELECT hashtextextended(service_id || ' ' || location, extract(epoch FROM scheduled_at)::bigint) AS id,
       service_id,
       scheduled_at                   AS check_time,
       status_code,
       round(total_ms)::integer       AS response_time,
       success                        AS is_success,
       error_message,
       error_type,
       location
FROM checks;

COMMENT ON VIEW watch_server_logs IS 'every raw check';
COMMENT ON COLUMN watch_server_logs.id IS 'a hash of the key of the check: the same in every query';
COMMENT ON COLUMN watch_server_logs.response_time IS 'milliseconds';
