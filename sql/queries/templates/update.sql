-- Sets all fields of one template.
UPDATE templates
SET name                 = %(name)s,
    description          = %(description)s,
    title                = %(title)s,
    severity             = %(severity)s,
    priority             = %(priority)s,
    affected_services    = %(affected_services)s,
    incident_description = %(incident_description)s,
    first_update         = %(first_update)s
WHERE id = %(id)s
RETURNING id, name, description, title, severity, priority, affected_services, incident_description, first_update,
          created_by, author, created_at, updated_at
