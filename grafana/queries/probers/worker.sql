-- The state of the work of the worker.
SELECT folding_lag_seconds AS "Aggregation lag", parked_checks AS "Refused checks", retention_seconds AS "Retention"
FROM analytics.worker_v1
