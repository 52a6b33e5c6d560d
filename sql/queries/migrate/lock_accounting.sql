-- The lock of refresh_sla_days(): the days that it stores are those of one time zone.
SELECT pg_advisory_xact_lock(hashtextextended('sla-monitor accounting', 0))
