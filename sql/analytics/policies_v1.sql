-- applies_from and applies_until as sla_versions() computes them.
CREATE VIEW analytics.policies_v1 WITH (security_barrier) AS
SELECT policy_id,
       version,
       scope,
       subject,
       name,
       valid_from,
       CASE WHEN starts_at < superseded_at OR superseded_at IS NULL THEN starts_at END AS applies_from,
       CASE WHEN starts_at < superseded_at THEN superseded_at END                      AS applies_until,
       ended,
       target,
       period,
       rolling_days,
       time_zone,
       service_hours,
       holiday_calendar,
       maintenance,
       announced_minutes,
       degraded_weight,
       unknown,
       shortest_outage_seconds,
       quorum,
       quorum_locations,
       least_coverage,
       author,
       recorded_at,
       objective_ms,
       objective_share,
       credits,
       group_method
FROM (
    SELECT sla_policy_versions.*,
           scope,
           subject,
           starts_at,
           min(starts_at) OVER (PARTITION BY policy_id ORDER BY version ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING) AS superseded_at
    FROM sla_policy_versions
    JOIN sla_policies ON sla_policies.id = policy_id
    CROSS JOIN LATERAL (SELECT local_day_start(valid_from, time_zone) AS starts_at) AS validity
) AS versions;

COMMENT ON VIEW analytics.policies_v1 IS 'one row for each version of an SLA policy; docs/accounting.md defines the terms';
COMMENT ON COLUMN analytics.policies_v1.policy_id IS 'the policy; with version the key';
COMMENT ON COLUMN analytics.policies_v1.version IS 'the number of the version, from 1';
COMMENT ON COLUMN analytics.policies_v1.scope IS 'service, tag, group or everything; this is the order of precedence';
COMMENT ON COLUMN analytics.policies_v1.subject IS 'the id of a service, a tag, or the name of a group; NULL: everything';
COMMENT ON COLUMN analytics.policies_v1.name IS 'the name of the policy';
COMMENT ON COLUMN analytics.policies_v1.valid_from IS 'the local day from which the version is valid';
COMMENT ON COLUMN analytics.policies_v1.applies_from IS 'the start of that day; NULL: a later version replaced it before it applied';
COMMENT ON COLUMN analytics.policies_v1.applies_until IS 'when a later version replaces it; NULL: never, or it never applied';
COMMENT ON COLUMN analytics.policies_v1.ended IS 'true: from then on the policy does not apply';
COMMENT ON COLUMN analytics.policies_v1.target IS 'the promised availability in percent';
COMMENT ON COLUMN analytics.policies_v1.period IS 'month, quarter, year or rolling';
COMMENT ON COLUMN analytics.policies_v1.rolling_days IS 'the length of a rolling period in days; NULL: a calendar period';
COMMENT ON COLUMN analytics.policies_v1.time_zone IS 'the time zone of its days and service hours';
COMMENT ON COLUMN analytics.policies_v1.service_hours IS
    'weekly intervals {"days": [1..7, 1 is Monday], "from": "08:00", "until": "20:00"}; NULL: always';
COMMENT ON COLUMN analytics.policies_v1.holiday_calendar IS 'the calendar of the days without service hours; NULL: none';
COMMENT ON COLUMN analytics.policies_v1.maintenance IS 'excluded: maintenance is neither up nor down; counted: it counts as observed';
COMMENT ON COLUMN analytics.policies_v1.announced_minutes IS 'maintenance is excluded only if it was announced this many minutes before';
COMMENT ON COLUMN analytics.policies_v1.degraded_weight IS 'the share of degraded time that counts as downtime, from 0 to 1';
COMMENT ON COLUMN analytics.policies_v1.unknown IS 'what time without data counts as: excluded, down or up';
COMMENT ON COLUMN analytics.policies_v1.shortest_outage_seconds IS 'shorter outages count as up, in seconds';
COMMENT ON COLUMN analytics.policies_v1.quorum IS 'how many locations must see an outage: one, majority, all or number';
COMMENT ON COLUMN analytics.policies_v1.quorum_locations IS 'the number of locations of the quorum number; NULL: another quorum';
COMMENT ON COLUMN analytics.policies_v1.least_coverage IS 'below this percentage of known time there is no verdict';
COMMENT ON COLUMN analytics.policies_v1.author IS 'the user who saved the version, by the name at that time';
COMMENT ON COLUMN analytics.policies_v1.recorded_at IS 'when the version was saved';
COMMENT ON COLUMN analytics.policies_v1.objective_ms IS 'the response time of the response-time objective in milliseconds; NULL: none';
COMMENT ON COLUMN analytics.policies_v1.objective_share IS 'the promised percentage of good checks that take at most objective_ms; NULL: none';
COMMENT ON COLUMN analytics.policies_v1.credits IS
    'service credits [{"below": 99.9, "credit": 10}, ...]: an uptime and a share of the fee, in percent; NULL: none';
COMMENT ON COLUMN analytics.policies_v1.group_method IS 'how the figures of a group are made: worst or mean';
