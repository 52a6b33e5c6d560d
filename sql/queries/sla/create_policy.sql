-- Creates a policy without versions; no row if the subject already has one.
INSERT INTO sla_policies (scope, subject)
VALUES (%(scope)s, %(subject)s)
ON CONFLICT DO NOTHING
RETURNING id
