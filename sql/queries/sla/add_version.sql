-- Adds a version to a policy. The transaction has locked the policies.
INSERT INTO sla_policy_versions (policy_id, version, valid_from, ended, name, target, period, rolling_days, time_zone, service_hours,
                                 holiday_calendar, maintenance, announced_minutes, degraded_weight, unknown, shortest_outage_seconds,
                                 quorum, quorum_locations, least_coverage, objective_ms, objective_share, credits, group_method, author,
                                 created_by)
VALUES (%(policy_id)s, %(version)s, %(valid_from)s, %(ended)s, %(name)s, %(target)s, %(period)s, %(rolling_days)s, %(time_zone)s,
        %(service_hours)s, %(holiday_calendar)s, %(maintenance)s, %(announced_minutes)s, %(degraded_weight)s, %(unknown)s,
        %(shortest_outage_seconds)s, %(quorum)s, %(quorum_locations)s, %(least_coverage)s, %(objective_ms)s, %(objective_share)s, %(credits)s,
        %(group_method)s, %(author)s, %(created_by)s)
