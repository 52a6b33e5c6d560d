-- Announces the status of today of the services for which it has changed.
SELECT announce_sla_today()
