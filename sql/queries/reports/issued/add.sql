-- Stores an issued report.
INSERT INTO sla_reports (first_day, last_day, scope, as_of, revision, report, author, created_by)
VALUES (%(first_day)s, %(last_day)s, %(scope)s, %(as_of)s, %(revision)s, %(report)s, %(author)s, %(created_by)s)
RETURNING id, first_day, last_day, scope, as_of, revision, author, issued_at, '[]'::jsonb AS changes
