-- Sets all fields of one maintenance window.
UPDATE maintenance_windows
SET title             = %(title)s,
    description       = %(description)s,
    affected_services = coalesce(%(affected_services)s, affected_services),
    starts_at         = %(starts_at)s,
    ends_at           = %(ends_at)s,
    rrule             = %(rrule)s,
    time_zone         = %(time_zone)s,
    public            = %(public)s,
    version           = version + 1
WHERE id = %(id)s
