-- The locations, those that have been silent for the longest time first.
SELECT name AS "Location", location AS "Id", silent_seconds AS "Silent for", services AS "Services", silent_services AS "Silent services",
       last_finished_at AS "Last check", registered_at AS "Registered"
FROM analytics.probers_v1
ORDER BY silent_seconds DESC NULLS LAST, name
