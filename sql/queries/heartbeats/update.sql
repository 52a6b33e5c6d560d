-- Stores the state of some heartbeats. Columns of the last report keep their values if none is given (a round of the worker).
UPDATE heartbeats
SET started_at   = given.started_at,
    due_at       = given.due_at,
    late_at      = given.late_at,
    recorded_at  = given.recorded_at,
    covered_to   = given.covered_to,
    failing      = given.failing,
    last_ping_at = coalesce(given.ping_at, heartbeats.last_ping_at),
    last_event   = coalesce(given.event, last_event),
    last_text    = CASE WHEN given.event IS NULL THEN last_text ELSE given.text END,
    last_run_ms  = coalesce(given.run_ms, last_run_ms)
FROM jsonb_to_recordset(%(heartbeats)s) AS given
    (service_id text, started_at timestamptz, due_at timestamptz, late_at timestamptz, recorded_at timestamptz,
     covered_to timestamptz, failing boolean, ping_at timestamptz, event text, text text, run_ms double precision)
WHERE heartbeats.service_id = given.service_id
