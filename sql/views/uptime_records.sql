CREATE VIEW uptime_records AS
SELECT hashtextextended(days.service_id, (days.day - date '2000-01-01')) AS id,
       days.service_id,
       days.day                                               AS date,
       coalesce(stored.status, computed.status, days.status::severity)::text AS status,
       round(sum_ms / nullif(good, 0))::integer               AS response_time,
       (SELECT checks.error_message
        FROM checks
        WHERE checks.service_id = days.service_id
          AND checks.scheduled_at >= days.starts_at
          AND checks.scheduled_at < local_day_start(days.day + 1, reporting_time_zone())
          AND NOT checks.success
        ORDER BY checks.scheduled_at DESC, checks.location
        LIMIT 1)                                              AS error_message,
       starts_at                                              AS created_at,
       CASE
           WHEN stored.day IS NOT NULL
               THEN uptime_number(stored.spent_seconds, stored.up_seconds + stored.degraded_seconds + stored.down_seconds)
           WHEN computed.day IS NOT NULL
               THEN uptime_number(computed.spent_seconds, computed.up_seconds + computed.degraded_seconds + computed.down_seconds)
           ELSE uptime_number(days.down_seconds, days.covered_seconds)
       END                                                    AS uptime
FROM service_days AS days
LEFT JOIN sla_strips AS known ON known.service_id = days.service_id
CROSS JOIN LATERAL (
    SELECT coalesce(days.day <= known.stored_upto, false)
               AND days.day < (SELECT local_date(present(), reporting_time_zone()))
               AND NOT EXISTS (SELECT FROM sla_changed_days AS changed
                               WHERE changed.service_id = days.service_id AND changed.first_day <= days.day) AS is_stored
) AS figures
LEFT JOIN sla_days AS stored ON stored.service_id = days.service_id AND stored.day = days.day AND is_stored
LEFT JOIN LATERAL (
    SELECT *
    FROM sla_days_of(ARRAY[days.service_id], days.day, days.day)
    WHERE NOT is_stored AND EXISTS (SELECT FROM sla_policy_versions)
) AS computed ON true;

COMMENT ON VIEW uptime_records IS
    'one row for each service and local day: its worst status, and its uptime in percent; under an SLA policy by accounting';
COMMENT ON COLUMN uptime_records.uptime IS 'in percent, rounded down to two decimals; NULL if no time of the day counts';
COMMENT ON COLUMN uptime_records.response_time IS 'mean of the successful checks, in milliseconds';
COMMENT ON COLUMN uptime_records.error_message IS 'of the last failed check of the day, while its raw row is kept';
