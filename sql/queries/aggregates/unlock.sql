SELECT pg_advisory_unlock(hashtextextended('sla-monitor refresh', 0))
