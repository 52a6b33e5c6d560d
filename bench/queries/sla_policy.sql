-- A policy for all services, with an objective and service credits.
WITH policy AS (
    INSERT INTO sla_policies (scope) VALUES ('everything') RETURNING id
)
INSERT INTO sla_policy_versions (policy_id, version, valid_from, name, target, time_zone, author, objective_ms, objective_share, credits)
SELECT id, 1, '2000-01-01', 'Standard', 99.9, 'UTC', 'bench', 300, 95, '[{"below": 99.9, "credit": 10}, {"below": 99, "credit": 25}]'
FROM policy
