-- Creates a maintenance window; plan.sql writes its occurrences.
INSERT INTO maintenance_windows (title, description, affected_services, starts_at, ends_at, rrule, time_zone, public,
                                 created_by, author)
VALUES (%(title)s, %(description)s, %(affected_services)s, %(starts_at)s, %(ends_at)s, %(rrule)s, %(time_zone)s, %(public)s,
        %(created_by)s, %(author)s)
RETURNING id
