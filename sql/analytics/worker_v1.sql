CREATE VIEW analytics.worker_v1 WITH (security_barrier) AS
SELECT engine,
       time_zone,
       extract(epoch FROM retention)                                           AS retention_seconds,
       CASE WHEN isfinite(watermark) THEN watermark END                        AS folded_until,
       CASE WHEN isfinite(watermark) THEN extract(epoch FROM present() - watermark) END AS folding_lag_seconds,
       parked.checks                                                           AS parked_checks,
       parked.latest                                                           AS last_parked_at
FROM installation
CROSS JOIN rollup_state
CROSS JOIN (SELECT count(*) AS checks, max(parked_at) AS latest FROM parked_checks) AS parked;

COMMENT ON VIEW analytics.worker_v1 IS 'one row: the settings that are stored in the database, and the state of the work of the worker';
COMMENT ON COLUMN analytics.worker_v1.engine IS 'timescaledb or postgresql';
COMMENT ON COLUMN analytics.worker_v1.time_zone IS 'the time zone of days (SLA_MONITOR_TIMEZONE)';
COMMENT ON COLUMN analytics.worker_v1.retention_seconds IS 'the age in seconds at which raw checks are deleted (CHECK_RETENTION)';
COMMENT ON COLUMN analytics.worker_v1.folded_until IS 'checks scheduled before this time are in the rollups; NULL: none yet';
COMMENT ON COLUMN analytics.worker_v1.folding_lag_seconds IS 'seconds since that time; normally less than 1,100; NULL: none yet';
COMMENT ON COLUMN analytics.worker_v1.parked_checks IS 'the number of checks that were refused when they were recorded, and are kept aside';
COMMENT ON COLUMN analytics.worker_v1.last_parked_at IS 'when the latest of those was refused; NULL: none';
