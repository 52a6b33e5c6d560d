-- Further terms of SLA policies: the response-time objective, service credits, and how the figures of a group are made.
ALTER TABLE sla_policy_versions
    ADD COLUMN objective_ms    integer
        CONSTRAINT sla_policy_versions_objective_ms CHECK (objective_ms BETWEEN 1 AND 600000),
    ADD COLUMN objective_share numeric(7,4)
        CONSTRAINT sla_policy_versions_objective_share CHECK (objective_share > 0 AND objective_share <= 100),
    ADD COLUMN credits         jsonb
        CONSTRAINT sla_policy_versions_credits CHECK (jsonb_typeof(credits) = 'array'),
    ADD COLUMN group_method    text NOT NULL DEFAULT 'worst'
        CONSTRAINT sla_policy_versions_group_method CHECK (group_method IN ('worst', 'mean')),
    ADD CONSTRAINT sla_policy_versions_objective CHECK ((objective_ms IS NULL) = (objective_share IS NULL));

COMMENT ON COLUMN sla_policy_versions.objective_ms IS 'the response time, in milliseconds, of the response-time objective; NULL: none';
COMMENT ON COLUMN sla_policy_versions.objective_share IS
    'the promised share of successful checks that take at most objective_ms, in percent';
COMMENT ON COLUMN sla_policy_versions.credits IS
    'service credits: [{"below": 99.9, "credit": 10}, ...], an uptime and a share of the fee in percent; NULL: none';
COMMENT ON COLUMN sla_policy_versions.group_method IS
    'how the figures of a group are made. worst: the service with the lowest uptime decides; mean: the mean by time';

-- Estimated episodes are few, and each figure states whether it depends on one.
CREATE INDEX episodes_estimated ON episodes (service_id) WHERE estimated;

-- The first check of a service, without its other episodes.
CREATE INDEX episodes_starts_at ON episodes (service_id, starts_at);
