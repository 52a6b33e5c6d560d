-- The audit log: the actor, the action and the object of each change.
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

COMMENT ON VIEW audit_log IS 'one row for each change of an object, and for each login; rows never change, and are deleted after AUDIT_RETENTION';
COMMENT ON COLUMN audit_log.actor_kind IS 'user; token: a machine with one of a user''s API tokens; operator: the command line; anonymous; program: a change in SQL';
COMMENT ON COLUMN audit_log.actor_id IS 'the user, or the owner of the token; the user may have been deleted since';
COMMENT ON COLUMN audit_log.actor IS 'the name at that time; for a program, the application_name of its connection';
COMMENT ON COLUMN audit_log.address IS 'the client address of the request, behind trusted proxies';
COMMENT ON COLUMN audit_log.request_id IS 'X-Request-Id of the response, which is in the log too';
COMMENT ON COLUMN audit_log.before IS 'for a change, the columns that differ; secrets are ***';
COMMENT ON COLUMN audit_log.after IS 'for a change, the columns that differ; secrets are ***';
