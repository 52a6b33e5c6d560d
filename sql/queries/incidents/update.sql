-- Changes the columns of one incident that are in `change`, a JSON object.
UPDATE incidents
SET (title, description, status, severity, priority, reporter, detection_criteria, postmortem, public)
  = (SELECT title, description, status, severity, priority, reporter, detection_criteria, postmortem, public
     FROM jsonb_populate_record(incidents, %(change)s))
WHERE id = %(id)s
