-- Adds an incident; its id, author and times come from the table's triggers.
INSERT INTO incidents (title, description, severity, priority, reporter, detection_criteria, public)
SELECT title, description, severity, priority, reporter, detection_criteria, public
FROM jsonb_populate_record(NULL::incidents, %(incident)s)
RETURNING id
