SELECT prune_audit(%(audit_retention)s)
