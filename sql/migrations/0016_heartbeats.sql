-- What is known of each job that reports by itself: its key, its last report, and when the next one is due.
CREATE TABLE heartbeats (
    service_id   text COLLATE "C" PRIMARY KEY REFERENCES services ON DELETE CASCADE,
    key          uuid        NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    last_ping_at timestamptz,
    last_event   text        CHECK (last_event ~ '^(success|start|fail|log|[0-9]{1,3})$'),
    last_text    text        CHECK (length(last_text) <= 10000),
    started_at   timestamptz,
    last_run_ms  double precision,
    due_at       timestamptz,
    late_at      timestamptz,
    recorded_at  timestamptz,
    covered_to   timestamptz,
    failing      boolean     NOT NULL DEFAULT false,
    CHECK ((due_at IS NULL) = (late_at IS NULL))
);

COMMENT ON COLUMN heartbeats.key IS 'in the address that the job calls; whoever knows it can report in its name';
COMMENT ON COLUMN heartbeats.started_at IS 'when the run began that has not ended';
COMMENT ON COLUMN heartbeats.due_at IS 'when the next report is due; NULL before the first one';
COMMENT ON COLUMN heartbeats.late_at IS 'when it is late: due_at and the grace time';
COMMENT ON COLUMN heartbeats.recorded_at IS 'the time of the last check that was recorded; NULL where nothing is known since a pause';
COMMENT ON COLUMN heartbeats.covered_to IS 'until when the last check speaks';
COMMENT ON COLUMN heartbeats.failing IS 'what the last check says';
