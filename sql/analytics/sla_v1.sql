-- The figures of sla_levels(), also of services that have been deleted since.
CREATE FUNCTION analytics.sla_v1(first_day date, last_day date)
    RETURNS TABLE (service_id text, name text, group_name text, policy_id uuid, policy_version integer, policy_name text,
                   target numeric, starts_at timestamptz, ends_at timestamptz,
                   uptime numeric, coverage numeric, verdict text, estimated boolean,
                   up_seconds numeric, degraded_seconds numeric, down_seconds numeric, unknown_seconds numeric,
                   maintained_seconds numeric, excluded_seconds numeric, outside_seconds numeric,
                   outages bigint, longest_seconds numeric, mttr_seconds numeric, mtbf_seconds numeric,
                   checks bigint, failed_checks bigint, checks_uptime numeric,
                   p50_ms numeric, p95_ms numeric, p99_ms numeric,
                   objective_ms integer, objective_share numeric, fast_share numeric, objective_met boolean,
                   planned_seconds numeric, budget_seconds numeric, spent_seconds numeric, left_seconds numeric,
                   projected_end timestamptz, credit numeric)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
SELECT levels.service_id, services.name, membership.group_name, policy_id, version, sla_policy_versions.name,
       levels.target, starts_at, ends_at,
       uptime, coverage, verdict, estimated,
       up_seconds, degraded_seconds, down_seconds, unknown_seconds, maintained_seconds, excluded_seconds, outside_seconds,
       outages, longest_seconds, mttr_seconds, mtbf_seconds,
       checks, failed_checks, checks_uptime,
       p50_ms, p95_ms, p99_ms,
       levels.objective_ms, levels.objective_share, fast_share, objective_met,
       planned_seconds, budget_seconds, spent_seconds, left_seconds,
       projected_end, credit
FROM sla_levels(ARRAY(SELECT DISTINCT service_memberships.service_id FROM service_memberships),
                sla_v1.first_day, sla_v1.last_day, present()) AS levels
JOIN sla_policy_versions USING (policy_id, version)
LEFT JOIN services ON services.id = levels.service_id
LEFT JOIN LATERAL (
    SELECT service_memberships.group_name
    FROM service_memberships
    WHERE service_memberships.service_id = levels.service_id AND valid && tstzrange(starts_at, ends_at)
    ORDER BY valid DESC
    LIMIT 1
) AS membership ON true
$$;

COMMENT ON FUNCTION analytics.sla_v1 IS
'the service level of each service to which an SLA policy applies in a period, as it is known now; docs/accounting.md defines the rules
first_day: the first day of the period, in the time zone of each policy
last_day: the last day of the period, which is included
service_id: the service, which may have been deleted since
name: its name; NULL: it has been deleted
group_name: its last group in the period; NULL: none
policy_id: the policy that applies; if it changes in the period, the last one
policy_version: the last version that applies in the period; verdict, objective and credit follow its terms
policy_name: the name of this version
target: the promised uptime in percent; of several versions the mean by planned time
starts_at: the start of the period, or the time from which the policy applies
ends_at: the end of the period, or the time until which the policy applies
uptime: percent of the known time that was up, weighted by the policy, not rounded; NULL: no data
coverage: percent of the time that should be known for which there are data; NULL: no such time
verdict: met, missed or insufficient_data; NULL: no data
estimated: whether episodes were made from rollups because raw checks were deleted
up_seconds: seconds up
degraded_seconds: seconds degraded
down_seconds: seconds down
unknown_seconds: seconds without data
maintained_seconds: seconds of maintenance that was announced in time
excluded_seconds: seconds that corrections exclude
outside_seconds: seconds outside of the service hours
outages: the number of outages that count
longest_seconds: the longest of these, in seconds; 0: none
mttr_seconds: mean time to recovery in seconds: the mean length of outages that have ended; NULL: none
mtbf_seconds: mean time between failures in seconds: time up or degraded for each outage; NULL: no outage
checks: the number of checks
failed_checks: of those, the number of failed checks
checks_uptime: percent of the checks that did not fail; NULL: no check
p50_ms: median response time in milliseconds, within 2 percent of the nearest rank; NULL: no check
p95_ms: 95th percentile in milliseconds, within 2 percent of the nearest rank; NULL: no check
p99_ms: 99th percentile in milliseconds, within 2 percent of the nearest rank; NULL: no check
objective_ms: the response time of the objective in milliseconds; NULL: no objective
objective_share: the promised percentage of good checks within objective_ms; NULL: no objective
fast_share: the actual percentage of good checks within objective_ms; NULL: no objective or no check
objective_met: whether the objective is met; NULL: no objective or no check
planned_seconds: the planned time of the whole period in seconds, also after now
budget_seconds: the error budget of the whole period in seconds
spent_seconds: of that, the seconds spent: down, and degraded by its weight
left_seconds: of that, the seconds left; negative: overspent
projected_end: when the budget will be spent at the rate of the period so far; NULL: not within the period
credit: the service credit in percent of the fee; NULL: no table of credits, or no verdict';
