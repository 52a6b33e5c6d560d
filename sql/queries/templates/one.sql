-- One template.
SELECT id, name, description, title, severity, priority, affected_services, incident_description, first_update,
       created_by, author, created_at, updated_at
FROM templates
WHERE id = %(id)s
