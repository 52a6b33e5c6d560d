-- SLA policies that a file declares.

ALTER TABLE sla_policies ADD COLUMN declared_in text;

COMMENT ON COLUMN sla_policies.declared_in IS 'the file that declares this policy as code; NULL where it is administered over REST';
