CREATE VIEW api_call_logs AS
SELECT hashtextextended(service_id, (day - date '2000-01-01')) AS id,
       service_id,
       day                                                    AS date,
       checks                                                 AS total_calls,
       checks - failed                                        AS success_calls,
       failed                                                 AS error_calls,
       round(sum_ms / nullif(good, 0))::integer               AS avg_response_time,
       round(max_ms)::integer                                 AS max_response_time,
       round(min_ms)::integer                                 AS min_response_time,
       starts_at                                              AS created_at,
       least(present(), local_day_start(day + 1, reporting_time_zone())) AS updated_at
FROM service_days;

COMMENT ON VIEW api_call_logs IS 'one row for each service and local day: the number of checks, of good ones and of failed ones, and response times in milliseconds';
