-- Alerts on error budgets: that a budget burns too fast, by the rules of sla_alert_rules(), or that it is spent.
CREATE TABLE sla_alerts (
    id                   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    service_id           text COLLATE "C" NOT NULL,
    kind                 text             NOT NULL CONSTRAINT sla_alerts_kind CHECK (kind IN ('burning', 'spent')),
    severity             text             NOT NULL CONSTRAINT sla_alerts_severity CHECK (severity IN ('page', 'ticket')),
    window_seconds       integer          CHECK (window_seconds > 0),
    short_window_seconds integer          CHECK (short_window_seconds > 0),
    threshold            numeric          CHECK (threshold > 0),
    policy_id            uuid             NOT NULL,
    version              integer          NOT NULL,
    burn_rate            numeric,
    left_seconds         numeric          NOT NULL,
    started_at           timestamptz      NOT NULL DEFAULT present(),
    ended_at             timestamptz      CHECK (ended_at >= started_at),
    FOREIGN KEY (policy_id, version) REFERENCES sla_policy_versions ON DELETE CASCADE,
    CONSTRAINT sla_alerts_rule
        CHECK (num_nonnulls(window_seconds, short_window_seconds, threshold, burn_rate) = CASE kind WHEN 'burning' THEN 4 ELSE 0 END)
);

CREATE UNIQUE INDEX sla_alerts_active ON sla_alerts (service_id, policy_id, version, window_seconds) NULLS NOT DISTINCT
    WHERE ended_at IS NULL;
CREATE INDEX sla_alerts_policy ON sla_alerts (policy_id, version);
CREATE INDEX sla_alerts_started_at ON sla_alerts (started_at DESC, id DESC);

-- No reference to services, as in outages.
COMMENT ON TABLE sla_alerts IS 'when an error budget burned too fast or was spent, and the policy version by which it was judged';
COMMENT ON COLUMN sla_alerts.window_seconds IS 'of a burning budget: the long window of the rule; NULL: the budget is spent';
COMMENT ON COLUMN sla_alerts.burn_rate IS 'in the long window when the alert began';
COMMENT ON COLUMN sla_alerts.left_seconds IS 'what was left of the budget of the period when the alert began; not positive if it is spent';
COMMENT ON COLUMN sla_alerts.ended_at IS 'NULL: the alert is active';
