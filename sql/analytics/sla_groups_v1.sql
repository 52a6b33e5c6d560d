CREATE FUNCTION analytics.sla_groups_v1(first_day date, last_day date)
    RETURNS TABLE (group_name text, services bigint, method text, target numeric, uptime numeric, coverage numeric, verdict text,
                   budget_seconds numeric, spent_seconds numeric, left_seconds numeric, outages bigint)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
SELECT group_name, services, method, target, uptime, coverage, verdict, budget_seconds, spent_seconds, left_seconds, outages
FROM sla_group_levels(sla_groups_v1.first_day, sla_groups_v1.last_day, present(), false)
$$;

COMMENT ON FUNCTION analytics.sla_groups_v1 IS
'the service level of each group of services in a period, and of all services together, private ones included
first_day: the first day of the period, in the time zone of each policy
last_day: the last day of the period, which is included
group_name: the group; NULL: all services
services: the number of its services to which a policy applies
method: worst: the figures are those of the service with the lowest uptime; mean: they are means by time
target: the promised uptime in percent
uptime: uptime in percent, not rounded; NULL: no data
coverage: percent of the time that should be known for which there are data; NULL: no such time
verdict: met, missed or insufficient_data; NULL: no data
budget_seconds: the error budget of the whole period in seconds
spent_seconds: of that, the seconds spent
left_seconds: of that, the seconds left; negative: overspent
outages: the number of outages of all its services';
