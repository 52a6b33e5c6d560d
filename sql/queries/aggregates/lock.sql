SELECT pg_try_advisory_lock(hashtextextended('sla-monitor refresh', 0))
