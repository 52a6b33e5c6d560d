CREATE VIEW uptime_records AS
SELECT hashtextextended(service_id, (day - date '2000-01-01')) AS id,
       service_id,
       day                                                    AS date,
       status,
       round(sum_ms / nullif(good, 0))::integer               AS response_time,
       (SELECT checks.error_message
        FROM checks
        WHERE checks.service_id = service_days.service_id
          AND checks.scheduled_at >= service_days.starts_at
          AND checks.scheduled_at < local_day_start(service_days.day + 1, reporting_time_zone())
          AND NOT checks.success
        ORDER BY checks.scheduled_at DESC, checks.location
        LIMIT 1)                                              AS error_message,
       starts_at                                              AS created_at,
       uptime_number(down_seconds, covered_seconds)           AS uptime
FROM service_days;

COMMENT ON VIEW uptime_records IS 'one row for each service and local day: its worst status, and its uptime in percent';
COMMENT ON COLUMN uptime_records.uptime IS 'in percent, rounded down to two decimals; NULL where no check covers any of the day';
COMMENT ON COLUMN uptime_records.response_time IS 'mean of the successful checks, in milliseconds';
COMMENT ON COLUMN uptime_records.error_message IS 'of the last failed check of the day, while its raw row is kept';
