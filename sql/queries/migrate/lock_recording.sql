-- The lock of lock_recording(), which an empty database does not have yet.
SELECT pg_advisory_xact_lock(hashtextextended('sla-monitor recording', 0))
