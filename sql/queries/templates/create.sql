-- Creates a template; no row if the name is taken.
INSERT INTO templates (name, description, title, severity, priority, affected_services, incident_description, first_update,
                       created_by, author)
VALUES (%(name)s, %(description)s, %(title)s, %(severity)s, %(priority)s, %(affected_services)s, %(incident_description)s,
        %(first_update)s, %(created_by)s, %(author)s)
ON CONFLICT ((lower(name))) DO NOTHING
RETURNING id, name, description, title, severity, priority, affected_services, incident_description, first_update,
          created_by, author, created_at, updated_at
