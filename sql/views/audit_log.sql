-- Who did what to which object, from where.
CREATE VIEW audit_log AS
SELECT id,
       occurred_at,
       actor_kind,
       actor_id,
       actor,
       address,
       request_id,
       action,
       object_type,
       object_id,
       before,
       after
FROM audit_entries;

COMMENT ON VIEW audit_log IS 'one row for each change of an object, and for each login; nothing in it changes, and it goes after AUDIT_RETENTION';
COMMENT ON COLUMN audit_log.actor_kind IS 'user; token: a machine with one of a user''s API tokens; operator: the command line; anonymous; program: a change in SQL';
COMMENT ON COLUMN audit_log.actor_id IS 'the user, of a token its owner; they may have been deleted since';
COMMENT ON COLUMN audit_log.actor IS 'the name at that time; of a program, that of its connection (application_name)';
COMMENT ON COLUMN audit_log.address IS 'where the request came from, trusted proxies considered';
COMMENT ON COLUMN audit_log.request_id IS 'X-Request-Id of the response, which is in the log too';
COMMENT ON COLUMN audit_log.before IS 'of a change, the columns that differ; secrets are ***';
COMMENT ON COLUMN audit_log.after IS 'of a change, the columns that differ; secrets are ***';
