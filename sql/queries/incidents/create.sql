-- Creates an incident. Its id, author and times are set by triggers.
INSERT INTO incidents (title, description, severity, priority, reporter, detection_criteria, public)
SELECT title, description, severity, priority, reporter, detection_criteria, public
FROM jsonb_populate_record(NULL::incidents, %(incident)s)
RETURNING id
